use std::time::Duration;

use age::x25519;

use super::file::{Vault, open, write};
use super::hook::Hook;
use swoosh_hybridcore::leave::Always;
use swoosh_types::hash::Hash;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn a_file_is_written_whole_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c.json");
    for text in [b"one".as_slice(), b"two"] {
        assert_eq!(write(&path, text).unwrap(), Hash::of(text));
        assert_eq!(std::fs::read(&path).unwrap(), text);
    }
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_is_encrypted_opens_with_any_recipient_s_key_and_no_other() {
    let keys = [x25519::Identity::generate(), x25519::Identity::generate(), x25519::Identity::generate()];
    let recipients: Vec<String> = keys.iter().take(2).map(|key| key.to_public().to_string()).collect();
    let vault = Vault::for_recipients(&recipients).unwrap();
    let name = vault.name("x.json");
    let sealed = vault.seal(b"secret".to_vec()).unwrap();
    assert!(!sealed.windows(6).any(|part| part == b"secret"));
    let opened = |key: &x25519::Identity| open(name.as_ref(), sealed.clone(), &[Box::new(key.clone())]);
    assert_eq!(opened(&keys[0]).unwrap().unwrap(), b"secret");
    assert_eq!(opened(&keys[1]).unwrap().unwrap(), b"secret");
    assert!(opened(&keys[2]).is_err());
    assert_eq!(open(name.as_ref(), sealed.clone(), &[]).unwrap(), None);
}

#[test]
fn a_recipient_that_is_none_is_named() {
    let error = Vault::for_recipients(&words(&["age1nonsense"])).map(drop).unwrap_err();
    assert!(error.to_string().contains("\"age1nonsense\" is no age public key"), "{error}");
}

#[test]
fn a_hook_is_filled_in_run_and_judged_by_its_exit_code() {
    let hook = |words_: &[&str]| Hook::new(words(words_), Duration::from_secs(60)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mark = format!("{}/at-{{index}}-{{time}}", folder.path().display());
    hook(&["touch", &mark]).run(7, 9, &Always).unwrap();
    assert!(folder.path().join("at-7-9").is_file());
    let error = hook(&["sh", "-c", "echo said; echo failed >&2; exit 3"])
        .run(1, 1, &Always)
        .map_err(|error| format!("{error:#}"))
        .unwrap_err();
    assert!(error.contains("exit status 3") && ["said", "failed"].iter().all(|word| error.contains(word)), "{error}");
    assert!(hook(&["/nonexistent/program"]).run(1, 1, &Always).is_err());
    assert!(Hook::new(Vec::new(), Duration::ZERO).is_none());
}

#[test]
fn a_hook_that_hangs_or_floods_is_ended_or_cut() {
    let hung = Hook::new(words(&["sleep", "600"]), Duration::from_millis(50)).unwrap();
    let error = hung.run(1, 1, &Always).map_err(|error| format!("{error:#}")).unwrap_err();
    assert!(error.contains("its time limit"), "{error}");
    let script =
        "i=0; while [ $i -lt 5000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 1";
    let flood = Hook::new(words(&["sh", "-c", script]), Duration::from_secs(60)).unwrap();
    assert!(flood.run(1, 1, &Always).map_err(|error| format!("{error:#}")).unwrap_err().len() < 40_000);
}
