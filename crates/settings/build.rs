//! Makes structs of the sections of `config/swoosh.yaml`, so that a number has its name, meaning and default in that file alone.
//!
//! Each section with a number becomes a macro `section_NAME!`. It takes the struct's name and the keys that are no numbers, in the order of
//! the file, with type and default: `section_journal! { Journal { durability: Durability = Durability::Sync } }`.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::{env, fs};

/// Numbers that are no `u64`: counts and sizes of what is in memory, and what libraries count in 32 bits.
const TYPES: &[(&str, &[&str])] = &[
    ("usize", &["effects.workers", "heads.memory_projects", "heads.memory_bytes", "http.body_limit_bytes"]),
    ("usize", &["limits.connections", "limits.connections_per_peer", "limits.requests", "limits.requests_per_peer"]),
    ("usize", &["limits.reads", "limits.listeners", "limits.body_memory_bytes"]),
    ("usize", &["mcp.answer_bytes", "mcp.max_servers", "mcp.window", "mcp.up", "mcp.down"]),
    ("usize", &["migration.answer_bytes", "migration.in_flight"]),
    ("usize", &["sequencer.queue", "sequencer.project_queue", "sequencer.batch_max", "traces.queue", "traces.batch"]),
    ("u32", &["effects.attempts", "http.streams", "http.resets", "log.file_keep"]),
];

/// A key of a section.
struct Key {
    name: String,
    value: String,
    meaning: String,
}

impl Key {
    fn is_number(&self) -> bool {
        self.value.parse::<u64>().is_ok()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../config/swoosh.yaml");
    println!("cargo::rerun-if-changed={}", file.display());
    let mut macros = String::new();
    for (name, keys) in sections(&fs::read_to_string(file)?) {
        if keys.iter().any(Key::is_number) {
            write_macro(&mut macros, &name, &keys)?;
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("sections.rs"), macros)?;
    Ok(())
}

/// The sections and their keys, which are indented by two blanks; the comment above a key is its meaning.
fn sections(yaml: &str) -> Vec<(String, Vec<Key>)> {
    let mut sections: Vec<(String, Vec<Key>)> = Vec::new();
    let mut comment = Vec::new();
    for line in yaml.lines() {
        let text = line.trim_start();
        let is_inner = line.len() > text.len();
        if let Some(said) = text.strip_prefix('#') {
            comment.push(said.trim());
            continue;
        }
        match (text.split_once(':'), sections.last_mut()) {
            (Some((name, value)), Some((_, keys))) if is_inner => {
                let (name, value) = (name.to_owned(), value.trim().to_owned());
                keys.push(Key { name, value, meaning: comment.join(" ") });
            }
            (Some((name, _)), _) if !is_inner => sections.push((name.to_owned(), Vec::new())),
            _ => {}
        }
        comment.clear();
    }
    sections
}

fn write_macro(out: &mut String, section: &str, keys: &[Key]) -> fmt::Result {
    let others: Vec<&Key> = keys.iter().filter(|key| !key.is_number()).collect();
    let taken: Vec<String> =
        others.iter().map(|Key { name, .. }| format!("{name}: ${name}_type:ty = ${name}_default:expr")).collect();
    let end = if taken.is_empty() { "" } else { " $(,)?" };
    writeln!(out, "#[allow(unused_macros)]\nmacro_rules! section_{section} {{")?;
    writeln!(out, "    ($(#[$doc:meta])* $struct:ident {{ {}{end} }}) => {{", taken.join(", "))?;
    writeln!(
        out,
        "        $(#[$doc])*\n        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]"
    )?;
    writeln!(out, "        #[serde(default, deny_unknown_fields)]\n        pub struct $struct {{")?;
    for key in keys {
        let (name, meaning) = (&key.name, key.meaning.replace('<', "\\<").replace('[', "\\["));
        writeln!(out, "            #[doc = {meaning:?}]\n            pub {name}: {},", type_of(section, key))?;
    }
    writeln!(
        out,
        "        }}\n        impl Default for $struct {{\n            fn default() -> $struct {{\n                $struct {{"
    )?;
    for key in keys {
        let default = if key.is_number() { key.value.clone() } else { format!("${}_default", key.name) };
        writeln!(out, "                    {}: {default},", key.name)?;
    }
    writeln!(out, "                }}\n            }}\n        }}\n    }};\n}}")
}

fn type_of(section: &str, key: &Key) -> String {
    if !key.is_number() {
        return format!("${}_type", key.name);
    }
    let path = format!("{section}.{}", key.name);
    let other = TYPES.iter().find(|(_, paths)| paths.contains(&path.as_str()));
    other.map_or("u64", |(name, _)| name).to_owned()
}
