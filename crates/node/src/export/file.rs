//! Files written atomically, encrypted if there are recipients.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use swoosh_files as files;
use swoosh_types::hash::Hash;

/// The ending of encrypted files.
const AGE: &str = ".age";

/// Recipients of encrypted files.
#[derive(Clone, Default)]
pub struct Vault {
    recipients: Vec<age::x25519::Recipient>,
}

impl Vault {
    /// Encrypts for these age public keys; for none, nothing is encrypted.
    pub fn for_recipients(keys: &[String]) -> anyhow::Result<Vault> {
        let parse = |key: &String| {
            let parsed = key.parse::<age::x25519::Recipient>();
            parsed.map_err(|error| anyhow::anyhow!("{key:?} is no age public key, which begins with age1: {error}"))
        };
        Ok(Vault { recipients: keys.iter().map(parse).collect::<anyhow::Result<_>>()? })
    }

    /// The name under which a file is stored.
    pub fn name(&self, plain: &str) -> String {
        if self.recipients.is_empty() { plain.to_owned() } else { format!("{plain}{AGE}") }
    }

    /// The bytes as they are stored.
    pub fn seal(&self, plain: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        if self.recipients.is_empty() {
            return Ok(plain);
        }
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let mut sealed = Vec::with_capacity(plain.len() + 512);
        let mut writer = age::Encryptor::with_recipients(recipients)?.wrap_output(&mut sealed)?;
        writer.write_all(&plain)?;
        writer.finish()?;
        Ok(sealed)
    }
}

/// The plain bytes of a stored file; `None` where it is encrypted and there is no key.
pub fn open(path: &Path, bytes: Vec<u8>, keys: &[Box<dyn age::Identity>]) -> anyhow::Result<Option<Vec<u8>>> {
    if !path.to_string_lossy().ends_with(AGE) {
        return Ok(Some(bytes));
    }
    if keys.is_empty() {
        return Ok(None);
    }
    let decryptor = age::Decryptor::new(bytes.as_slice())?;
    let mut plain = Vec::new();
    decryptor.decrypt(keys.iter().map(|key| &**key as &dyn age::Identity))?.read_to_end(&mut plain)?;
    Ok(Some(plain))
}

/// Writes a file so that it is there whole or not at all, also after a loss of power; its hash.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<Hash> {
    let folder = path.parent().context("the file has no folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let cannot = || format!("cannot write {}", path.display());
    files::replace(path, bytes, files::PRIVATE).with_context(cannot)?;
    Ok(Hash::of(bytes))
}
