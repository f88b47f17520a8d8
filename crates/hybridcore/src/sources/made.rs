//! A git repository of our own making. Nothing in it is from outside, so libgit2 runs in this process.

use std::path::Path;

/// A new repository with one commit on `main`: these files, by name. The id of the commit.
pub fn repository(folder: &Path, files: &[(&str, &str)]) -> Result<String, git2::Error> {
    let mut options = git2::RepositoryInitOptions::new();
    options.external_template(false).no_reinit(true).initial_head("main").mkpath(true);
    let repository = git2::Repository::init_opts(folder, &options)?;
    let mut index = repository.index()?;
    for (name, content) in files {
        std::fs::write(folder.join(name), content).map_err(|error| git2::Error::from_str(&error.to_string()))?;
        index.add_path(Path::new(name))?;
    }
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = git2::Signature::now("swoosh init", "swoosh@localhost")?;
    let commit = repository.commit(Some("HEAD"), &author, &author, "Begin", &tree, &[])?;
    Ok(commit.to_string())
}

/// The `file://` address of a folder, by its whole path. Bytes with a meaning in addresses are escaped.
pub fn address(folder: &Path) -> String {
    let mut address = "file://".to_owned();
    for byte in folder.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' | b'+' => {
                address.push(char::from(*byte))
            }
            byte => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::super::address::{Address, Role};
    use super::*;

    #[test]
    fn a_repository_has_its_files_in_one_commit() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("a b/app");
        let commit = repository(&folder, &[("README.md", "# app\n")]).unwrap();
        let repository = git2::Repository::open(&folder).unwrap();
        let head = repository.head().unwrap();
        assert_eq!((head.shorthand().unwrap(), head.target().unwrap().to_string()), ("main", commit));
        assert!(repository.statuses(None).unwrap().is_empty());
        assert!(super::repository(&folder, &[]).is_err(), "it is there already");
    }

    #[test]
    fn an_address_of_a_folder_is_read_back() {
        let text = address(Path::new("/srv/my disk/m\u{fc}ll/50%"));
        assert_eq!(text, "file:///srv/my%20disk/m%C3%BCll/50%25");
        assert!(Address::parse(&text, Role::Source).is_ok());
    }
}
