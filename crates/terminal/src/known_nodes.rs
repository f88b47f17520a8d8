//! Which node was behind an address when it was first used: its cluster and its key, in a file of the user's, as ssh keeps
//! the hosts that it knows. A command that signs for the cluster which an address claims would sign for any cluster else.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use swoosh_files as files;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ClusterId;

/// The file's name in the user's configuration directory.
const NAME: &str = "swoosh/known_nodes";
/// Prefix of a directory of backups, whose owner is kept like a node.
pub const BACKUPS: &str = "backup:";
/// Its first line.
const HEADING: &str = "# Nodes that were used: address, cluster, node key. `swoosh nodes` changes it.\n";

/// A node at the first use of its address.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pin {
    /// The address, in one spelling.
    pub address: String,
    pub cluster: ClusterId,
    pub node: PublicKey,
}

/// The result of a look-up in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The address is used for the first time; the node is kept now.
    First,
    /// The node is the one that is known.
    Known,
    /// The address is used for the first time, and the node cannot be kept: the next use is a first one again.
    NotKept(String),
}

/// The file.
#[derive(Clone, Debug)]
pub struct KnownNodes {
    path: PathBuf,
}

impl KnownNodes {
    /// The file that is named, or the user's own; `None` where no directory of a user is known.
    pub fn of_user(named: Option<&Path>) -> Option<KnownNodes> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let path = named.map(Path::to_owned).or_else(|| {
            let folder = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
            folder.map(|folder| folder.join(NAME))
        });
        path.map(|path| KnownNodes { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every pin, in the file's order.
    pub fn list(&self) -> anyhow::Result<Vec<Pin>> {
        let file = match files::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o022 != 0 {
            bail!("others may write {0}, so it proves nothing; run `chmod 600 {0}`", self.path.display());
        }
        let text = std::io::read_to_string(file).with_context(|| format!("cannot read {}", self.path.display()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let parsed = lines.map(|(number, line)| {
            parse(line).with_context(|| {
                let path = self.path.display();
                format!("line {} of {path} is not an address, a cluster and a key; mend or delete it", number + 1)
            })
        });
        parsed.collect()
    }

    /// The node that is known at an address.
    pub fn find(&self, address: &str) -> anyhow::Result<Option<Pin>> {
        let address = spelling(address);
        Ok(self.list()?.into_iter().find(|pin| pin.address == address))
    }

    /// Checks the node behind an address against the one that is known, and keeps nothing.
    pub fn compare(&self, address: &str, cluster: &ClusterId, node: &PublicKey) -> anyhow::Result<()> {
        let found = Pin { address: spelling(address), cluster: cluster.clone(), node: *node };
        self.find(address)?.map_or(Ok(()), |known| same(&known, &found).map(drop))
    }

    /// Checks the node behind an address against the one that is known, and keeps it where none is.
    pub fn check(&self, address: &str, cluster: &ClusterId, node: &PublicKey) -> anyhow::Result<Seen> {
        let found = Pin { address: spelling(address), cluster: cluster.clone(), node: *node };
        if let Some(known) = self.find(address)? {
            return same(&known, &found);
        }
        let _lock = match self.lock() {
            Ok(lock) => lock,
            Err(error) => return Ok(Seen::NotKept(format!("{error:#}"))),
        };
        // Another command may have kept it meanwhile.
        let mut pins = self.list()?;
        if let Some(known) = pins.iter().find(|pin| pin.address == found.address) {
            return same(known, &found);
        }
        pins.push(found);
        Ok(self.write(&pins).map_or_else(|error| Seen::NotKept(format!("{error:#}")), |()| Seen::First))
    }

    /// Keeps a node, in the place of the one that is known.
    pub fn pin(&self, pin: Pin) -> anyhow::Result<()> {
        let _lock = self.lock()?;
        let mut pins = self.list()?;
        pins.retain(|known| known.address != pin.address);
        pins.push(pin);
        self.write(&pins)
    }

    /// Forgets the node at an address; which one it was.
    pub fn forget(&self, address: &str) -> anyhow::Result<Option<Pin>> {
        let address = spelling(address);
        let _lock = self.lock()?;
        let (gone, left): (Vec<Pin>, Vec<Pin>) = self.list()?.into_iter().partition(|pin| pin.address == address);
        if !gone.is_empty() {
            self.write(&left)?;
        }
        Ok(gone.into_iter().next())
    }

    /// Held while the file changes, beside it, because the file itself is replaced.
    fn lock(&self) -> anyhow::Result<File> {
        let failed = || format!("the nodes that are known cannot be kept in {}", self.path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(files::directory_of(&self.path)).with_context(failed)?;
        let path = self.path.with_extension("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = file.with_context(failed)?;
        file.lock().with_context(failed)?;
        Ok(file)
    }

    /// Replaces the file at once, readable by its owner alone.
    fn write(&self, pins: &[Pin]) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        let line = |pin: &Pin| format!("{} {} {}\n", pin.address, pin.cluster, pin.node);
        let text: String = std::iter::once(HEADING.to_owned()).chain(pins.iter().map(line)).collect();
        files::replace(&self.path, text.as_bytes(), files::PRIVATE).with_context(failed)
    }
}

fn same(known: &Pin, found: &Pin) -> anyhow::Result<Seen> {
    if known == found {
        return Ok(Seen::Known);
    }
    if known.address.starts_with(BACKUPS) {
        bail!(
            "{} held backups of node {} of cluster {}, and these are of node {} of cluster {}. If that is right, name the node \
             with --from-node, or run `swoosh nodes forget {}`",
            known.address,
            known.node,
            known.cluster,
            found.node,
            found.cluster,
            known.address
        );
    }
    bail!(
        "{} is known as node {} of cluster {}, and now it says it is node {} of cluster {}; nothing was signed. Another party may \
         pass your proposals on to another cluster. If the node was replaced, run `swoosh nodes forget {}` and try again",
        known.address,
        known.node,
        known.cluster,
        found.node,
        found.cluster,
        known.address
    )
}

fn parse(line: &str) -> anyhow::Result<Pin> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [address, cluster, node] = words[..] else { bail!("it has {} words", words.len()) };
    Ok(Pin { address: spelling(address), cluster: cluster.parse()?, node: node.parse()? })
}

/// One spelling of an address: scheme and host in lower case, with the port, without a slash at the end.
pub fn spelling(address: &str) -> String {
    let address = address.trim();
    if address.starts_with(BACKUPS) {
        return address.to_owned();
    }
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    // The brackets of an IPv6 address hold colons too.
    let has_port = authority.rsplit(']').next().unwrap_or_default().contains(':');
    let port = match (has_port, scheme.as_str()) {
        (true, _) => "",
        (false, "https") => ":443",
        (false, _) => ":80",
    };
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    format!("{scheme}://{authority}{port}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::keys::SecretKey;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_bytes(&[seed; 32]).public()
    }

    fn cluster(name: &str) -> ClusterId {
        name.parse().unwrap()
    }

    #[test]
    fn one_address_has_one_spelling() {
        for (address, expected) in [
            ("http://Node.Example:7400/", "http://node.example:7400"),
            ("HTTPS://node.example", "https://node.example:443"),
            ("http://[::1]", "http://[::1]:80"),
            ("http://[::1]:7400", "http://[::1]:7400"),
            ("https://gate.example/Swoosh/", "https://gate.example:443/Swoosh"),
            ("127.0.0.1:7400", "http://127.0.0.1:7400"),
        ] {
            assert_eq!(spelling(address), expected);
            assert_eq!(spelling(expected), expected);
        }
    }

    #[test]
    fn a_node_is_kept_at_first_use_and_another_one_is_refused_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownNodes { path: folder.path().join("deep/known_nodes") };
        assert_eq!(known.find("http://a:1").unwrap(), None);
        assert_eq!(known.check("http://a:1", &cluster("one"), &key(1)).unwrap(), Seen::First);
        assert_eq!(known.check("http://A:1/", &cluster("one"), &key(1)).unwrap(), Seen::Known);
        for (name, seed) in [("two", 1), ("one", 2)] {
            let error = known.check("http://a:1", &cluster(name), &key(seed)).unwrap_err().to_string();
            assert!(
                error.contains("swoosh nodes forget http://a:1") && error.contains("nothing was signed"),
                "{error}"
            );
        }
        assert_eq!(known.check("http://b:1", &cluster("two"), &key(2)).unwrap(), Seen::First);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&known.path), mode(files::directory_of(&known.path))), (0o600, 0o700));
        assert_eq!(known.forget("http://a:1").unwrap().map(|pin| pin.node), Some(key(1)));
        assert_eq!(known.forget("http://a:1").unwrap(), None);
        assert_eq!(known.check("http://a:1", &cluster("two"), &key(3)).unwrap(), Seen::First);
        let left: Vec<_> = known.list().unwrap().into_iter().map(|pin| pin.node).collect();
        assert_eq!(left, [key(2), key(3)]);
    }

    #[test]
    fn a_file_that_others_may_write_or_that_is_damaged_proves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownNodes { path: folder.path().join("known_nodes") };
        known.check("http://a:1", &cluster("one"), &key(1)).unwrap();
        std::fs::set_permissions(&known.path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(known.check("http://a:1", &cluster("one"), &key(1)).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&known.path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&known.path, "http://a:1 one\n").unwrap();
        assert!(known.check("http://b:1", &cluster("one"), &key(1)).unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn first_uses_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownNodes { path: folder.path().join("known_nodes") };
        std::thread::scope(|scope| {
            for port in 0..8 {
                let known = &known;
                scope.spawn(move || known.check(&format!("http://a:{port}"), &cluster("one"), &key(1)).unwrap());
            }
        });
        assert_eq!(known.list().unwrap().len(), 8);
    }
}
