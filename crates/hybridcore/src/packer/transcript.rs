//! Keeps a bounded part of packer's output: artifacts, errors, the last lines.

use std::collections::BTreeMap;

use super::machine::{ArtifactPart, Loudness, Record, Said};

/// The most errors and warnings that are kept, and of how many characters each.
const MOST_TEXTS: usize = 50;
const TEXT_CHARACTERS: usize = 2000;
/// The most artifacts, and files of all of them.
const MOST_ARTIFACTS: usize = 10_000;
const MOST_FILES: usize = 100_000;
/// Lines that are no records, of which the last are kept: the last words of a crash.
const LAST_LINES: usize = 20;

/// An artifact, as reported by packer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToldArtifact {
    /// Which builder or post-processor made it.
    pub builder_id: String,
    pub id: String,
    /// It, in words.
    pub text: String,
    /// Its files, as packer was given them.
    pub files: Vec<String>,
    /// Whether the build made nothing.
    pub is_nothing: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// Packer's version.
    pub version: Option<String>,
    /// Artifacts by build and number.
    pub artifacts: BTreeMap<(String, u64), ToldArtifact>,
    pub build_errors: BTreeMap<String, String>,
    /// Other errors, in the order of packer's output.
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    /// Lines of standard output that are no records: what `packer fmt` prints.
    pub plain: Vec<String>,
    /// The last lines of either stream that are no records.
    pub last: Vec<String>,
    /// Number of records of unknown type.
    pub unknown: u64,
    files: usize,
}

impl Transcript {
    /// Takes a record in.
    pub fn record(&mut self, record: &Record) {
        let target = record.target.clone().unwrap_or_default();
        match &record.said {
            Said::Ui { loudness: Loudness::Error, text } => keep(&mut self.errors, text),
            Said::Ui { text, .. } if text.trim_start().starts_with("Warning") => keep(&mut self.warnings, text),
            Said::Ui { .. } | Said::ArtifactCount(_) | Said::ErrorCount(_) => {}
            Said::Version(version) => self.version = Some(cut(version)),
            Said::BuildError(text) if self.build_errors.len() < MOST_TEXTS => {
                self.build_errors.insert(cut(&target), cut(text));
            }
            Said::BuildError(_) => {}
            Said::Artifact { index, part } => self.artifact((target, *index), part),
            Said::Other { .. } => self.unknown += 1,
        }
    }

    fn artifact(&mut self, key: (String, u64), part: &ArtifactPart) {
        if self.artifacts.len() >= MOST_ARTIFACTS && !self.artifacts.contains_key(&key) {
            return;
        }
        let artifact = self.artifacts.entry(key).or_default();
        match part {
            ArtifactPart::BuilderId(id) => artifact.builder_id = cut(id),
            ArtifactPart::Id(id) => artifact.id = cut(id),
            ArtifactPart::Text(text) => artifact.text = cut(text),
            ArtifactPart::File(path) if self.files < MOST_FILES => {
                self.files += 1;
                artifact.files.push(path.clone());
            }
            ArtifactPart::Nothing => artifact.is_nothing = true,
            ArtifactPart::File(_) | ArtifactPart::FileCount(_) | ArtifactPart::End => {}
        }
    }

    /// Takes in a line that is no record.
    pub fn line(&mut self, is_output: bool, text: &str) {
        if is_output && self.plain.len() < MOST_FILES {
            self.plain.push(text.to_owned());
        }
        if self.last.len() == LAST_LINES {
            self.last.remove(0);
        }
        self.last.push(cut(text));
    }

    /// All errors, in words; the last lines if there was no error record.
    pub fn all_errors(&self) -> Vec<String> {
        let named = self.build_errors.iter().map(|(build, text)| format!("{build}: {}", text.trim()));
        let mut all: Vec<String> = named.collect();
        // The same errors come again for people, with other words around them.
        let repeats =
            |text: &str| self.build_errors.values().any(|known| text.contains(known.trim())) || is_headline(text);
        all.extend(self.errors.iter().map(|text| text.trim().to_owned()).filter(|text| !repeats(text)));
        if all.is_empty() { self.last.clone() } else { all }
    }
}

fn is_headline(text: &str) -> bool {
    text.is_empty() || text.starts_with("==> Some builds didn't complete")
}

fn keep(texts: &mut Vec<String>, text: &str) {
    if texts.len() < MOST_TEXTS && !text.trim().is_empty() {
        texts.push(cut(text.trim()));
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packer::machine::parse;

    fn of(recorded: &str) -> Transcript {
        let mut transcript = Transcript::default();
        for line in recorded.lines() {
            match parse(line) {
                Some(record) => transcript.record(&record),
                None => transcript.line(true, line),
            }
        }
        transcript
    }

    #[test]
    fn a_recorded_build_gives_its_artifacts() {
        let transcript = of(include_str!("recorded/build-1.6.6.txt"));
        let file = &transcript.artifacts[&("bb.file.a".to_owned(), 0)];
        assert_eq!((file.builder_id.as_str(), file.id.as_str()), ("packer.file", "File"));
        assert_eq!(file.files, ["out/b.txt"]);
        assert_eq!(transcript.artifacts[&("bb.null.n".to_owned(), 1)].files, Vec::<String>::new());
        assert_eq!(transcript.all_errors(), Vec::<String>::new());
    }

    #[test]
    fn a_recorded_failure_gives_each_error_once_with_its_build() {
        let transcript = of(include_str!("recorded/failed-1.6.6.txt"));
        assert_eq!(
            transcript.all_errors(),
            [
                "a: Script exited with non-zero exit status: 2.Allowed exit codes are: [0]",
                "b: Script exited with non-zero exit status: 2.Allowed exit codes are: [0]",
                "==> a: /tmp/packer-shell2476923035: 2: Syntax error: \"(\" unexpected",
            ]
        );
    }

    #[test]
    fn the_last_lines_replace_missing_error_records() {
        let transcript = of("panic: runtime error\ngoroutine 1 [running]:\n1,,new-type,x");
        assert_eq!(transcript.all_errors(), ["panic: runtime error", "goroutine 1 [running]:"]);
        assert_eq!(transcript.unknown, 1);
    }

    #[test]
    fn however_much_is_said_little_is_kept() {
        let mut transcript = Transcript::default();
        let long = "x".repeat(10_000);
        for n in 0..1000 {
            transcript.record(&parse(&format!("1,t{n},error,{long}")).unwrap());
            transcript.record(&parse(&format!("1,,ui,error,{long}")).unwrap());
            transcript.line(false, &long);
        }
        let kept: usize = transcript.all_errors().iter().map(String::len).sum();
        assert!(kept < 400_000 && transcript.last.len() == LAST_LINES, "{kept}");
    }
}
