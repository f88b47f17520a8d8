//! Requests that go to another side.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::rc::Rc;

use git2::{
    AutotagOption, CertificateCheckStatus, CredentialType, Direction, FetchOptions, ObjectType, Oid, ProxyOptions,
    RemoteCallbacks,
};
use git2::{RemoteRedirect, Repository, RepositoryInitOptions};

use super::mirror::Mirror;
use super::{FailureKind, Said, failure, far, near};
use crate::sources::failure::Failure;
use crate::sources::git::{Limits, Phase, Progress, Remote, RemoteRef, Reply, Wanted};

/// The most references that are looked at.
const MOST_REFS: usize = 200_000;
/// Of more, a name is no name.
const NAME_BYTES: usize = 250;
/// Keeps files as they are in the repository, against its own attributes.
const PLAIN_ATTRIBUTES: &str = "* -text -ident -filter -working-tree-encoding\n";
const ALL: [&str; 2] = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];

/// All branches and tags, and the target of `HEAD`.
pub(super) fn list(remote: &Remote) -> Result<Reply, Failure> {
    if remote.url.starts_with("file://") {
        return list_near(remote);
    }
    let fail = |error: git2::Error| far(&remote.url, &error);
    let mut connection = git2::Remote::create_detached(remote.url.as_str()).map_err(fail)?;
    let connected = connection.connect_auth(Direction::Fetch, Some(callbacks(remote)), Some(proxy())).map_err(fail)?;
    let mut refs: Vec<RemoteRef> = Vec::new();
    for head in connected.list().map_err(fail)?.iter().take(MOST_REFS) {
        let commit = head.oid().to_string();
        let (Ok(commit), true) = (commit.parse(), is_name(head.name())) else { continue };
        match head.name().strip_suffix("^{}") {
            // The target of an annotated tag follows the tag.
            Some(tag) => match refs.iter_mut().rev().find(|known| known.name == tag) {
                Some(known) => known.commit = commit,
                None => continue,
            },
            None => {
                let symref = head.symref_target().filter(|target| is_name(target)).map(str::to_owned);
                refs.push(RemoteRef { name: head.name().to_owned(), commit, symref });
            }
        }
    }
    Ok(Reply::Refs { refs })
}

/// The same of a repository on this disk.
fn list_near(remote: &Remote) -> Result<Reply, Failure> {
    let mirror = Mirror::open(remote)?;
    let (references, head) = mirror.references()?;
    let mut refs = Vec::new();
    for (name, id) in references.into_iter().filter(|(name, _)| is_name(name)).take(MOST_REFS) {
        let commit = mirror.peeled(id).map_or(id, |(commit, _)| commit);
        let Ok(commit) = commit.to_string().parse() else { continue };
        let symref = head.clone().filter(|target| name == "HEAD" && is_name(target));
        refs.push(RemoteRef { name, commit, symref });
    }
    Ok(Reply::Refs { refs })
}

fn is_name(name: &str) -> bool {
    let ours = name == "HEAD" || name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
    ours && name.len() <= NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Brings a commit here.
pub(super) fn fetch(
    remote: &Remote,
    folder: &Path,
    wanted: &Wanted,
    limits: &Limits,
    said: &mut Said,
) -> Result<Reply, Failure> {
    let repository = open_or_make(folder)?;
    let commit = Oid::from_str(wanted.commit.as_str())
        .map_err(|_| failure(FailureKind::NoCommit, format!("{} is no commit id that is supported", wanted.commit)))?;
    let is_named = wanted.reference.as_deref().is_none_or(|name| repository.find_reference(&own_name(name)).is_ok());
    if is_named && holds(&repository, commit, limits) {
        return Ok(Reply::Fetched { received_bytes: 0 });
    }
    if remote.url.starts_with("file://") {
        return fetch_near(&repository, remote, commit, wanted, limits, said);
    }
    let mut received = match wanted.reference.as_deref() {
        Some(name) => {
            let own = format!("+{name}:{}", own_name(name));
            download(&repository, remote, &[own.as_str()], limits, said)?
        }
        None => download_by_id(&repository, remote, wanted, limits, said)?,
    };
    if let Some(other) = other_object(&repository, &remote.url, commit) {
        return Err(other);
    }
    if !holds(&repository, commit, limits) {
        received += download(&repository, remote, &ALL, limits, said)?;
    }
    if !holds(&repository, commit, limits) && wanted.reference.is_some() {
        // On no branch and no tag.
        received += download_by_id(&repository, remote, wanted, limits, said)?;
    }
    if !holds(&repository, commit, limits) {
        let detail = format!("{} has no commit {} on any branch or tag", remote.url, wanted.commit);
        let other = other_object(&repository, &remote.url, commit);
        return Err(other.unwrap_or_else(|| failure(FailureKind::NoCommit, detail)));
    }
    // A server of this machine may serve a clone whose history is cut, and its client does not notice.
    if remote.url.starts_with("http://") {
        history_is_whole(&repository, &remote.url, commit)?;
    }
    Ok(Reply::Fetched { received_bytes: received })
}

/// Asks for the commit by its id, then for the branches and tags that lead into its history, which a mirror on disk gives as well. Returns 0
/// if the server does not give it: git's own allows this by `uploadpack.allowReachableSHA1InWant`, and public forges do.
fn download_by_id(
    repository: &Repository,
    remote: &Remote,
    wanted: &Wanted,
    limits: &Limits,
    said: &mut Said,
) -> Result<u64, Failure> {
    let by_id = format!("+{0}:refs/swoosh/{0}", wanted.commit);
    let received = match download(repository, remote, &[by_id.as_str()], limits, said) {
        Err(failure) if failure.kind == FailureKind::TooLarge => return Err(failure),
        Err(_) => return Ok(0),
        Ok(received) => received,
    };
    let Reply::Refs { refs } = list(remote)? else { return Ok(received) };
    let odb = repository.odb().map_err(|error| near(repository.path(), &error))?;
    let is_in_history = |known: &RemoteRef| Oid::from_str(known.commit.as_str()).is_ok_and(|id| odb.exists(id));
    let known = refs.iter().filter(|known| known.name != "HEAD" && is_in_history(known));
    let known: Vec<String> = known.map(|known| format!("+{}:{}", known.name, own_name(&known.name))).collect();
    if known.is_empty() {
        return Ok(received);
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Ok(received + download(repository, remote, &known, limits, said)?)
}

/// The local name of a remote reference.
fn own_name(name: &str) -> String {
    name.replacen("refs/heads/", "refs/remotes/origin/", 1)
}

/// The failure where an object that was fetched is a tag, a tree or a blob.
fn other_object(repository: &Repository, url: &str, id: Oid) -> Option<Failure> {
    let object = repository.find_object(id, None).ok()?;
    let is_tag = object.kind() == Some(ObjectType::Tag);
    let target = if is_tag { object.peel(ObjectType::Any).ok()? } else { object.clone() };
    let kind = target.kind()?;
    match object.as_tag() {
        Some(tag) if kind == ObjectType::Commit || kind == ObjectType::Tag => {
            Some(is_a_tag(url, id, tag.name().unwrap_or_default(), tag.target_id()))
        }
        _ if kind == ObjectType::Commit => None,
        _ => Some(is_no_commit(url, target.id(), kind)),
    }
}

fn is_no_commit(url: &str, id: Oid, kind: ObjectType) -> Failure {
    let detail = format!("{url}: {id} is a {}, and a source needs a commit; pin a commit or a tag of one", kind.str());
    failure(FailureKind::NoCommit, detail)
}

fn is_a_tag(url: &str, id: Oid, name: &str, target: Oid) -> Failure {
    let detail =
        format!("{url}: {id} is the annotated tag {name}, which leads to the commit {target}; pin {name} or {target}");
    failure(FailureKind::NoCommit, detail)
}

fn history_is_whole(repository: &Repository, url: &str, commit: Oid) -> Result<(), Failure> {
    let fail = |error: git2::Error| far(url, &error);
    let mut walk = repository.revwalk().map_err(fail)?;
    let pushed = walk.push(commit);
    match pushed.and_then(|()| walk.try_for_each(|id| id.map(drop))) {
        Err(error) if error.code() == git2::ErrorCode::NotFound => {
            let detail = format!(
                "{url} serves a shallow clone: its history is cut; mend it with `git fetch --unshallow` there, or serve a whole one: \
                 git clone --mirror URL"
            );
            Err(failure(FailureKind::Incomplete, detail))
        }
        walked => walked.map_err(fail),
    }
}

/// Brings a commit from a repository on this disk, with the references that a server would have given.
fn fetch_near(
    repository: &Repository,
    remote: &Remote,
    commit: Oid,
    wanted: &Wanted,
    limits: &Limits,
    said: &mut Said,
) -> Result<Reply, Failure> {
    let (mirror, url) = (Mirror::open(remote)?, remote.url.as_str());
    if let Ok(object) = mirror.odb.read(commit)
        && object.kind() == ObjectType::Tag
    {
        let text = String::from_utf8_lossy(object.data());
        let name = text.lines().find_map(|line| line.strip_prefix("tag ")).unwrap_or_default();
        return Err(match mirror.peeled(commit) {
            Some((target, kind)) if kind != ObjectType::Commit => is_no_commit(url, target, kind),
            peeled => is_a_tag(url, commit, name, peeled.map_or(commit, |(target, _)| target)),
        });
    }
    if let Some((_, kind)) = mirror.peeled(commit).filter(|(_, kind)| *kind != ObjectType::Commit) {
        return Err(is_no_commit(url, commit, kind));
    }
    let received_bytes = super::local::copy(repository, &mirror, url, commit, limits, said)?;
    if !holds(repository, commit, limits) {
        if mirror.odb.exists(commit) {
            let detail = format!("{url} holds the commit {commit} and not all files of it");
            return Err(failure(FailureKind::Incomplete, detail));
        }
        return Err(failure(FailureKind::NoCommit, format!("{url} has no commit {commit} on any branch or tag")));
    }
    take_references(repository, &mirror, url, wanted)?;
    Ok(Reply::Fetched { received_bytes })
}

/// Takes the named reference, or all branches and tags, as far as their objects are here.
fn take_references(repository: &Repository, mirror: &Mirror, url: &str, wanted: &Wanted) -> Result<(), Failure> {
    let fail = |error: git2::Error| near(repository.path(), &error);
    let odb = repository.odb().map_err(fail)?;
    let (references, _) = mirror.references()?;
    let is_wanted = |name: &str| match &wanted.reference {
        Some(wanted) => name == wanted,
        None => name.starts_with("refs/heads/") || name.starts_with("refs/tags/"),
    };
    for (name, id) in references.into_iter().filter(|(name, _)| is_name(name) && is_wanted(name)) {
        if !mirror.peeled(id).is_some_and(|(target, _)| odb.exists(target)) {
            continue;
        }
        let mut tag = id;
        while !odb.exists(tag) {
            let object = mirror.odb.read(tag).map_err(|error| super::mirror::bad(url, &error))?;
            odb.write(object.kind(), object.data()).map_err(fail)?;
            let text = String::from_utf8_lossy(object.data()).into_owned();
            let next = text.lines().next().and_then(|line| Oid::from_str(line.strip_prefix("object ")?).ok());
            let Some(next) = next else { break };
            tag = next;
        }
        repository.reference(&own_name(&name), id, true, "swoosh: fetch").map_err(fail)?;
    }
    Ok(())
}

/// Whether a commit is here with its whole tree: an interrupted fetch may have left only the commit.
fn holds(repository: &Repository, commit: Oid, limits: &Limits) -> bool {
    let Ok(tree) = repository.find_commit(commit).and_then(|commit| commit.tree()) else { return false };
    let Ok(odb) = repository.odb() else { return false };
    let (mut entries, mut whole) = (0, true);
    let walked = tree.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
        entries += 1;
        whole = entry.kind() != Some(git2::ObjectType::Blob) || odb.exists(entry.id());
        // A tree without an end is refused by the checkout.
        let goes_on = whole && entries <= limits.files.saturating_mul(2);
        if goes_on { git2::TreeWalkResult::Ok } else { git2::TreeWalkResult::Abort }
    });
    whole && (walked.is_ok() || entries > limits.files.saturating_mul(2))
}

fn download(
    repository: &Repository,
    remote: &Remote,
    what: &[&str],
    limits: &Limits,
    said: &mut Said,
) -> Result<u64, Failure> {
    let fail = |error: git2::Error| far(&remote.url, &error);
    let (received, too_large) = (Cell::new(0), Cell::new(false));
    let lacks_object = Cell::new(false);
    let said = RefCell::new(said);
    let mut callbacks = callbacks(remote);
    callbacks.transfer_progress(|now| {
        received.set(now.received_bytes() as u64);
        too_large.set(received.get() > limits.received_bytes);
        !too_large.get() && said.borrow_mut().tell(&progress(&now))
    });
    callbacks.sideband_progress(|text| {
        lacks_object.set(lacks_object.get() || names_absence(text));
        said.borrow_mut().tell(&Progress { phase: Phase::Connecting, done: 0, total: 0, bytes: 0 })
    });
    let mut options = FetchOptions::new();
    options.remote_callbacks(callbacks).proxy_options(proxy()).download_tags(AutotagOption::None);
    // Where a repository was renamed, its old address leads to the new one; plain http must not leave this machine, and
    // credentials not the host that they are bound to.
    let stays = remote.url.starts_with("http://") || remote.credentials.is_some();
    let redirects = if stays { RemoteRedirect::None } else { RemoteRedirect::Initial };
    options.follow_redirects(redirects).update_fetchhead(false);
    let mut anonymous = repository.remote_anonymous(&remote.url).map_err(fail)?;
    let fetched = anonymous.fetch(what, Some(&mut options), Some("swoosh: fetch"));
    drop(options);
    if too_large.get() {
        let detail = format!("{} sends more than {} bytes", remote.url, limits.received_bytes);
        return Err(failure(FailureKind::TooLarge, detail));
    }
    match fetched {
        Err(_) if lacks_object.get() => {
            let detail = format!(
                "{} lacks an object that was asked for; see `git fsck` there, or serve a whole clone",
                remote.url
            );
            Err(failure(FailureKind::Incomplete, detail))
        }
        fetched => fetched.map(|()| received.get()).map_err(fail),
    }
}

/// Whether a server's git complains that its repository has no such object. The connection ends after that as if the network had failed.
fn names_absence(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    ["unable to read", "bad object", "missing blob", "missing tree", "repository corruption"]
        .iter()
        .any(|words| text.contains(words))
}

fn progress(now: &git2::Progress<'_>) -> Progress {
    let (received, total) = (now.received_objects() as u64, now.total_objects() as u64);
    let (phase, done, total) = if received < total || now.total_deltas() == 0 {
        (Phase::Receiving, received, total)
    } else {
        (Phase::Indexing, now.indexed_deltas() as u64, now.total_deltas() as u64)
    };
    Progress { phase, done, total, bytes: now.received_bytes() as u64 }
}

fn open_or_make(folder: &Path) -> Result<Repository, Failure> {
    let fail = |error: git2::Error| near(folder, &error);
    let repository = if folder.join(".git").exists() {
        super::tree::open(folder)?
    } else {
        let mut options = RepositoryInitOptions::new();
        options.no_reinit(true).external_template(false);
        let made = Repository::init_opts(folder, &options).map_err(fail)?;
        let own = made.path().join(super::tree::OWN_CONFIG);
        let written = fs::write(&own, super::tree::OWN_SETTINGS);
        written.map_err(|error| failure(FailureKind::Unwritable, format!("{}: {error}", own.display())))?;
        super::tree::open(folder)?
    };
    harden(&repository).map_err(fail)?;
    let attributes = repository.path().join("info/attributes");
    let written =
        fs::create_dir_all(repository.path().join("info")).and_then(|()| fs::write(&attributes, PLAIN_ATTRIBUTES));
    written.map_err(|error| failure(FailureKind::Unwritable, format!("{}: {error}", attributes.display())))?;
    Ok(repository)
}

/// Settings that keep a hostile repository harmless, also for people who work in it with git.
fn harden(repository: &Repository) -> Result<(), git2::Error> {
    let mut config = repository.config()?.open_level(git2::ConfigLevel::Local)?;
    for (name, value) in [
        ("core.symlinks", false),
        ("core.autocrlf", false),
        ("core.protecthfs", true),
        ("core.protectntfs", true),
        ("fetch.recursesubmodules", false),
    ] {
        if config.get_bool(name).ok() != Some(value) {
            config.set_bool(name, value)?;
        }
    }
    if config.get_string("core.hookspath").ok().as_deref() != Some("/dev/null") {
        config.set_str("core.hookspath", "/dev/null")?;
    }
    Ok(())
}

fn proxy<'a>() -> ProxyOptions<'a> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}

/// The servers that one request talks to.
#[derive(Default)]
struct Peers {
    /// Host and certificate of the first connection.
    first: Option<(String, Vec<u8>)>,
    connections: u64,
    offered: bool,
}

const REDIRECTED: &str = "it redirects elsewhere, where the token that is bound to its address does not go; write the address \
                          that it leads to, and bind the token to that";

impl Peers {
    /// A connection was opened; refused where it would carry credentials to another server.
    fn opened(&mut self, host: &str, certificate: Vec<u8>) -> Result<(), git2::Error> {
        let peer = (host.to_owned(), certificate);
        self.connections += 1;
        let is_other = *self.first.get_or_insert_with(|| peer.clone()) != peer;
        if self.offered && is_other { Err(denied(REDIRECTED)) } else { Ok(()) }
    }

    /// Whether no redirect led away from the address.
    fn is_at_its_address(&self) -> bool {
        self.connections == 1
    }
}

/// Credentials are offered once, and over the first connection, which is to the host that they are for. libgit2 names the
/// address that was asked first also after a redirect, and keeps what it was given, so that connections are watched.
fn callbacks(remote: &Remote) -> RemoteCallbacks<'_> {
    let mut callbacks = RemoteCallbacks::new();
    let peers = Rc::new(RefCell::new(Peers::default()));
    if remote.credentials.is_some() {
        let peers = Rc::clone(&peers);
        callbacks.certificate_check(move |certificate, host| {
            let bytes = certificate.as_x509().map(|known| known.data().to_vec()).unwrap_or_default();
            peers.borrow_mut().opened(host, bytes)?;
            Ok(CertificateCheckStatus::CertificatePassthrough)
        });
    }
    callbacks.credentials(move |url, user, allowed| {
        if allowed.contains(CredentialType::USERNAME) {
            return git2::Cred::username(user.unwrap_or("git"));
        }
        let mut peers = peers.borrow_mut();
        if std::mem::replace(&mut peers.offered, true) {
            return Err(denied("it does not accept the credentials that were given"));
        }
        if allowed.contains(CredentialType::SSH_KEY) {
            return git2::Cred::ssh_key_from_agent(user.unwrap_or("git"));
        }
        match &remote.credentials {
            Some(_) if !peers.is_at_its_address() => Err(denied(REDIRECTED)),
            Some(ours) if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) && same_host(url, &remote.url) => {
                git2::Cred::userpass_plaintext(&ours.user, &ours.password)
            }
            _ => Err(denied(
                "it asks for credentials (or there is no such repository), and none are bound to its address",
            )),
        }
    });
    callbacks
}

fn denied(text: &str) -> git2::Error {
    git2::Error::new(git2::ErrorCode::Auth, git2::ErrorClass::Callback, text)
}

fn same_host(one: &str, other: &str) -> bool {
    let host = |url: &str| url.split('/').take(3).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    host(one) == host(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_over_the_first_connection_and_to_no_other_server() {
        let mut redirected = Peers::default();
        redirected.opened("h", vec![1]).unwrap();
        redirected.opened("h", vec![1]).unwrap();
        assert!(!redirected.is_at_its_address(), "the same host at another port");
        let mut peers = Peers::default();
        peers.opened("h", vec![1]).unwrap();
        assert!(peers.is_at_its_address());
        peers.offered = true;
        peers.opened("h", vec![1]).unwrap();
        assert!(peers.opened("evil", vec![1]).is_err(), "a certificate that names both");
        assert!(peers.opened("h", vec![2]).is_err());
    }
}
