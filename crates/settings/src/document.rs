//! Holds `config/swoosh.yaml` and `docs/settings.md` together: the table is generated from the comments.

use std::fmt::Write as _;

use super::bounds::BOUNDS;
use super::described::{ENTRIES, Entry, Parts};
use super::keys;
use swoosh_types::fact::MAX_LICENSE_GRACE_MS;
use swoosh_types::json::MAX_INTEGER;

fn render() -> String {
    let mut page = String::from(
        "# Settings\n\nGenerated from `config/swoosh.yaml`, which is built into the daemon; a test keeps this page true\n(`SWOOSH_BLESS=1 cargo test --lib settings::` writes it again). A settings file names only what\ndiffers; relative paths in it are relative to the file.\n",
    );
    let row = |page: &mut String, entry: &Entry| {
        let Parts { meaning, unit, default, bound } = entry.parts().unwrap();
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            entry.key,
            cell(&meaning),
            cell(&unit),
            cell(&default),
            cell(&bound)
        );
    };
    let header = "\n| key | meaning | unit | default | bound |\n| --- | --- | --- | --- | --- |\n";
    page.push_str(header);
    for entry in ENTRIES.iter() {
        if entry.value.is_empty() {
            let _ = write!(page, "\n## `{}`\n\n{}\n{header}", entry.key, entry.comment.join(" "));
        } else {
            row(&mut page, entry);
        }
    }
    page
}

#[test]
fn every_key_is_in_the_file_with_meaning_unit_default_and_bound() {
    let keys: Vec<_> = ENTRIES.iter().map(|entry| entry.key.clone()).collect();
    assert_eq!(keys, keys::known());
    for entry in ENTRIES.iter() {
        assert!(!entry.comment.is_empty(), "{} has no comment", entry.key);
        if entry.value.is_empty() {
            continue;
        }
        let parts = entry.parts();
        let Parts { meaning, unit, default, bound } =
            parts.unwrap_or_else(|| panic!("{}: no unit, default, bound", entry.key));
        assert!([&meaning, &unit, &bound].iter().all(|text| !text.is_empty()), "{}", entry.key);
        if !["null", "{}", "[]"].contains(&entry.value.as_str()) {
            assert_eq!(default, entry.value, "{}", entry.key);
        }
    }
}

/// A number whose comment has no bound in the form "LEAST to MOST" would have none.
#[test]
fn every_number_has_a_bound_and_its_default_is_within_it() {
    let is_number = |entry: &&Entry| entry.value.parse::<u64>().is_ok();
    for entry in ENTRIES.iter().filter(is_number) {
        let bound = BOUNDS.iter().find(|bound| bound.key == entry.key);
        let bound = bound.unwrap_or_else(|| panic!("{} has no bound", entry.key));
        assert!((bound.least..=bound.most).contains(&entry.value.parse().unwrap()), "{}", entry.key);
    }
    assert_eq!(BOUNDS.len(), ENTRIES.iter().filter(is_number).count());
}

/// Beyond these, a number would not be recorded, or not be followed.
#[test]
fn the_bounds_of_recorded_numbers_are_those_of_their_types() {
    let most = |key: &str| BOUNDS.iter().find(|bound| bound.key == key).map(|bound| bound.most);
    assert_eq!(most("policies.serial"), Some(MAX_INTEGER));
    assert_eq!(most("retention.wal_records"), Some(MAX_INTEGER));
    assert_eq!(most("license.grace_ms"), Some(MAX_LICENSE_GRACE_MS));
}

#[test]
fn the_page_of_settings_is_generated_from_the_file() {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("docs/settings.md");
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, render()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, render(), "docs/settings.md is stale; run the test with SWOOSH_BLESS=1");
}
