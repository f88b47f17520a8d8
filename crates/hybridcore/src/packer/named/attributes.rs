//! Attributes of blocks, and which of them name files of this machine.

use hcl::structure::{Body, Structure};

use super::{Reader, Texts};
use crate::config::syntax::Parsed;

/// Attributes that name files or folders of this machine.
const PATHS: [&str; 16] = [
    "cd_files",
    "files",
    "floppy_dirs",
    "floppy_files",
    "http_directory",
    "manifest_dir",
    "module_paths",
    "playbook_dir",
    "playbook_paths",
    "roles_path",
    "role_paths",
    "script",
    "scripts",
    "source",
    "sources",
    "cookbook_paths",
];
/// Ends of the names of such attributes.
const PATH_ENDS: [&str; 7] = ["_file", "_files", "_dir", "_dirs", "_directory", "_path", "_paths"];
/// Names of attributes that are no inputs: outputs, remote things, credentials.
const NO_INPUTS: [&str; 16] = [
    "certificate",
    "credential",
    "destination",
    "export",
    "guest",
    "key_file",
    "output",
    "private_key",
    "remote",
    "ssh_",
    "staging",
    "target",
    "temp",
    "upload",
    "winrm_",
    "working_directory",
];
/// Attributes whose file leads to others beside it, which packer's tools read.
const LEADERS: [&str; 3] = ["playbook_file", "playbook_files", "manifest_file"];
/// The longest text that may be a path, or hold some.
const MOST_TEXT: usize = 4_096;

/// Whether an attribute of this name names files of this machine.
fn names_files(name: &str) -> bool {
    let is_path = PATHS.contains(&name) || PATH_ENDS.iter().any(|end| name.ends_with(end));
    is_path && !NO_INPUTS.iter().any(|part| name.contains(part))
}

/// The blocks around an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// The innermost block's kind.
    pub kind: &'a str,
    /// Whether files go from the machine that is built to this one.
    pub is_download: bool,
}

impl Reader<'_> {
    pub(super) fn search_hcl(&mut self, shown: &str, parsed: &Parsed) {
        for block in &parsed.blocks {
            let line = format!("{shown}:{}", block.place.line);
            match block.identifier.as_str() {
                "packer" | "variable" => {}
                "locals" | "local" => {
                    // For the files that functions read.
                    self.place = format!("{line}: {}", block.identifier);
                    block.body.attributes().for_each(|local| drop(self.texts(&local.expr)));
                }
                kind => self.body(&line, kind, &block.body),
            }
        }
    }

    fn body(&mut self, line: &str, kind: &str, body: &Body) {
        let literal = |name: &str, text: &str| {
            let is_it = |own: &hcl::Attribute| {
                own.key.as_str() == name && matches!(&own.expr, hcl::Expression::String(own) if own == text)
            };
            body.attributes().any(is_it)
        };
        let around = Around { kind, is_download: literal("direction", "download") };
        for part in body {
            match part {
                Structure::Attribute(attribute) => {
                    self.place = format!("{line}: {}", attribute.key.as_str());
                    let texts = self.texts(&attribute.expr);
                    self.attribute(attribute.key.as_str(), around, texts);
                }
                Structure::Block(block) => self.body(line, block.identifier.as_str(), &block.body),
            }
        }
    }

    /// Takes the texts of an attribute.
    pub(super) fn attribute(&mut self, name: &str, around: Around<'_>, texts: Texts) {
        for text in texts.all.iter().filter(|text| text.len() <= MOST_TEXT) {
            self.names.maybe.insert(text.clone());
            self.names.maybe.extend(words(text));
        }
        // The sources of a build are blocks, and those of an upload files.
        let is_block_list = around.kind == "build" && name == "sources" || name == "source" && around.is_download;
        if !names_files(name) || is_block_list {
            return;
        }
        if texts.is_open {
            self.names.unknown.insert(self.place.clone());
        }
        for text in &texts.all {
            self.path(text);
            if LEADERS.contains(&name) {
                let folder = text.rsplit_once('/').map_or(".", |(folder, _)| folder);
                self.path(folder);
            }
        }
    }

    /// Takes what a function reads.
    pub(super) fn read(&mut self, function: &str, files: Texts) {
        if files.is_open {
            self.names.unknown.insert(format!("{}: {function}(…)", self.place));
        }
        files.all.iter().for_each(|text| self.path(text));
    }

    /// A path; of a pattern, the folder before it.
    fn path(&mut self, text: &str) {
        let whole = match text.find(['*', '?', '[']) {
            Some(at) => text[..at].rsplit_once('/').map_or(".", |(folder, _)| folder),
            None => text,
        };
        if !whole.is_empty() && whole.len() <= MOST_TEXT && !whole.contains('\0') {
            self.names.paths.entry(whole.to_owned()).or_insert_with(|| self.place.clone());
        }
    }
}

/// Words of a command line or an assignment that may be paths (`sh ./make.sh`, `@vars.yml`, `CONFIG=x.cfg`).
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let ends = |c: char| c.is_whitespace() || "\"'`;,=|&<>()".contains(c);
    text.split(ends).map(|word| word.trim_start_matches('@')).filter(|word| !word.is_empty()).map(str::to_owned)
}
