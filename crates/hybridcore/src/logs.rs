//! `hybridcore.logs`: `[timestamp] level component` lines in files that roll over, with secrets taken out.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use swoosh_types::civil::rfc3339;

mod redact;

pub use redact::Redactor;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For debugging.
    Debug,
    Info,
    Warn,
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        })
    }
}

/// How a log file grows.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// A file rolls over before it exceeds this many bytes.
    pub max_bytes: u64,
    /// How many rolled files are kept, as `name.log.1` (the youngest) and up.
    pub keep: u32,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { max_bytes: 10 << 20, keep: 5 }
    }
}

/// Variables that say how log files grow.
const VARIABLES: [&str; 2] = ["SWOOSH_LOGS_MAX_BYTES", "SWOOSH_LOGS_KEEP"];
/// A file smaller than this would roll over with every line.
const LEAST_BYTES: u64 = 4096;
/// More rolled files than this are a mistake.
const MOST_KEPT: u32 = 1000;

impl Rotation {
    /// The limits of `SWOOSH_LOGS_MAX_BYTES` (4096 or more) and `SWOOSH_LOGS_KEEP` (at most 1000), with defaults for
    /// unset ones.
    pub fn from_environment() -> Result<Rotation, String> {
        Rotation::from_variables(&|name| std::env::var(name).ok())
    }

    fn from_variables(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Rotation, String> {
        let [bytes, keep] = VARIABLES;
        let mut rotation = Rotation::default();
        if let Some(text) = lookup(bytes) {
            let wrong = || format!("{bytes} is {text:?}; write a number of bytes, {LEAST_BYTES} or more");
            rotation.max_bytes = text.parse().ok().filter(|bytes| *bytes >= LEAST_BYTES).ok_or_else(wrong)?;
        }
        if let Some(text) = lookup(keep) {
            let wrong = || format!("{keep} is {text:?}; write how many rolled files to keep, 0 to {MOST_KEPT}");
            rotation.keep = text.parse().ok().filter(|keep| *keep <= MOST_KEPT).ok_or_else(wrong)?;
        }
        Ok(rotation)
    }
}

/// Writes lines of one component. Clones share the file; a logger without a file writes nothing.
#[derive(Clone, Debug)]
pub struct Logger {
    component: String,
    context: Vec<(String, String)>,
    least: Level,
    redactor: Redactor,
    file: Option<Arc<Mutex<Rolling>>>,
}

impl Logger {
    /// A logger to `folder/component.log`. `redactor` sees each line before the file does.
    pub fn to_folder(folder: &Path, component: &str, rotation: Rotation, redactor: Redactor) -> io::Result<Logger> {
        fs::create_dir_all(folder)?;
        let rolling = Rolling::open(folder.join(format!("{component}.log")), rotation)?;
        Ok(Logger { file: Some(Arc::new(Mutex::new(rolling))), ..Logger::silent(component, redactor) })
    }

    /// A logger that only formats.
    pub fn silent(component: &str, redactor: Redactor) -> Logger {
        Logger { component: component.to_owned(), context: Vec::new(), least: Level::Info, redactor, file: None }
    }

    /// The same logger, from `least` on.
    #[must_use]
    pub fn from_level(mut self, least: Level) -> Logger {
        self.least = least;
        self
    }

    /// The same logger with one more `name=value` on each line (the command, the repository, the run).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Logger {
        self.context.push((name.to_owned(), value.to_string()));
        self
    }

    /// The line that a message becomes, stamped with `at_ms` (milliseconds since 1970).
    pub fn line(&self, at_ms: u64, level: Level, message: &str) -> String {
        let mut line = format!("[{}] {level} {}", rfc3339(at_ms), self.component);
        for (name, value) in &self.context {
            line.push_str(&format!(" {name}={}", one_line(value)));
        }
        line.push_str(": ");
        line.push_str(&one_line(message));
        self.redactor.clean(&line)
    }

    /// Writes a message. A failed write is reported once on standard error and stops nothing.
    pub fn log(&self, level: Level, message: &str) {
        let Some(file) = self.file.as_ref().filter(|_| level >= self.least) else { return };
        let line = self.line(now_ms(), level, message);
        file.lock().unwrap_or_else(PoisonError::into_inner).write(format!("{line}\n").as_bytes());
    }

    /// Writes what happened.
    pub fn info(&self, message: &str) {
        self.log(Level::Info, message);
    }

    /// Writes what should be looked at.
    pub fn warn(&self, message: &str) {
        self.log(Level::Warn, message);
    }

    /// Writes what failed.
    pub fn error(&self, message: &str) {
        self.log(Level::Error, message);
    }
}

/// A log file that rolls over, for writers with a line format of their own. A failed write is reported once on standard
/// error and stops nothing.
#[derive(Debug)]
pub struct LineFile(Rolling);

/// Lines that are written under one lock of the file, in bytes.
const AT_ONCE: usize = 64 << 10;

impl LineFile {
    /// Opens the file at a path, and creates it where it is missing.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<LineFile> {
        Ok(LineFile(Rolling::open(path.to_owned(), rotation)?))
    }
}

impl io::Write for LineFile {
    /// Takes whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.rotation.max_bytes).map_or(AT_ONCE, |most| most.min(AT_ONCE));
        let mut gathered: Vec<u8> = Vec::new();
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            if !gathered.is_empty() && gathered.len() + line.len() > most {
                self.0.write(&std::mem::take(&mut gathered));
            }
            gathered.extend_from_slice(line);
        }
        if !gathered.is_empty() {
            self.0.write(&gathered);
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message of several lines, or with control characters, stays one line.
fn one_line(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// Milliseconds since 1970; a clock before that counts as 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// One log file. Other processes may write it at the same time: each write and each roll holds a lock of the file that
/// is at the path.
#[derive(Debug)]
struct Rolling {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    complained: bool,
}

impl Rolling {
    fn open(path: PathBuf, rotation: Rotation) -> io::Result<Rolling> {
        let file = append_to(&path)?;
        Ok(Rolling { path, rotation, file, complained: false })
    }

    fn write(&mut self, lines: &[u8]) {
        if let Err(error) = self.try_write(lines)
            && !std::mem::replace(&mut self.complained, true)
        {
            eprintln!("{} cannot be written ({error}); the work goes on without that log", self.path.display());
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        let added = lines.len() as u64;
        loop {
            self.lock()?;
            let bytes = self.file.metadata()?.len();
            if bytes == 0 || bytes + added <= self.rotation.max_bytes {
                break;
            }
            // Another process may fill the new file before it is locked, so it is looked at again.
            self.roll()?;
        }
        let written = self.file.write_all(lines);
        self.file.unlock()?;
        written
    }

    /// Locks the file that is at the path now. It may differ from the open one: another process may have rolled it.
    fn lock(&mut self) -> io::Result<()> {
        loop {
            self.file.lock()?;
            if self.is_current()? {
                return Ok(());
            }
            self.file = self.successor()?;
        }
    }

    fn is_current(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves the file away, under its lock, which ends when the file is let go.
    fn roll(&mut self) -> io::Result<()> {
        for n in (1..self.rotation.keep).rev() {
            ignore_absent(fs::rename(self.rolled(n), self.rolled(n + 1)))?;
        }
        match self.rotation.keep {
            0 => fs::remove_file(&self.path)?,
            _ => fs::rename(&self.path, self.rolled(1))?,
        }
        self.file = self.successor()?;
        Ok(())
    }

    /// Opens the file at the path instead of the open one. One that is made gets the mode and the group of the open one, through which
    /// an operator lets a log shipper read.
    fn successor(&self) -> io::Result<File> {
        match OpenOptions::new().create_new(true).append(true).open(&self.path) {
            Ok(file) => {
                // The log goes on where its access cannot be set.
                let _ = inherit(&self.file, &file);
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => append_to(&self.path),
            Err(error) => Err(error),
        }
    }

    fn rolled(&self, n: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Gives a file the mode and group of another. Without the group, the mode would let others read.
fn inherit(from: &File, to: &File) -> io::Result<()> {
    let (wanted, made) = (from.metadata()?, to.metadata()?);
    if wanted.gid() != made.gid() {
        fchown(to, None, Some(wanted.gid()))?;
    }
    if wanted.mode() != made.mode() {
        to.set_permissions(wanted.permissions())?;
    }
    Ok(())
}

fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn command_line_and_tests_share_one_prefix() {
        let logger = Logger::silent("sources", Redactor::default()).with("repository", "azure");
        assert_eq!(
            logger.line(1_760_837_025_678, Level::Info, "synced\nwell"),
            "[2025-10-19T01:23:45.678+00:00] INFO sources repository=azure: synced\\nwell"
        );
    }

    #[test]
    fn log_files_roll_once_they_exceed_the_configured_size_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { max_bytes: 200, keep: 2 };
        let logger = Logger::to_folder(folder.path(), "packer", rotation, Redactor::default()).unwrap();
        for n in 0..20 {
            logger.info(&format!("line number {n:02} of the log"));
        }
        let mut names: Vec<String> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["packer.log", "packer.log.1", "packer.log.2"]);
        for name in &names {
            assert!(fs::metadata(folder.path().join(name)).unwrap().len() <= 200, "{name}");
        }
        assert!(fs::read_to_string(folder.path().join("packer.log")).unwrap().contains("line number 19"));
    }

    /// An operator gives a log shipper access through the mode of the file; the next file once was closed to it again.
    #[test]
    fn a_new_file_has_the_mode_and_group_of_the_one_that_was_rolled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.log");
        File::create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        // Only a privileged test may give a file away.
        let _ = std::os::unix::fs::chown(&path, None, Some(4321));
        let group = fs::metadata(&path).unwrap().gid();
        let mut file = LineFile::open(&path, Rotation { max_bytes: 100, keep: 2 }).unwrap();
        for n in 0..30 {
            file.write_all(format!("line {n:02}\n").as_bytes()).unwrap();
        }
        for name in ["node.log", "node.log.1", "node.log.2"] {
            let about = fs::metadata(folder.path().join(name)).unwrap();
            assert_eq!((about.mode() & 0o777, about.gid()), (0o640, group), "{name}");
        }
        fs::rename(&path, folder.path().join("moved")).unwrap();
        file.write_all(b"after the move\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn lines_of_any_form_roll_over_between_lines_however_many_come_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.log");
        let mut file = LineFile::open(&path, Rotation { max_bytes: 100, keep: 1_000 }).unwrap();
        let line = |n: usize| format!("{{\"line\":{n:02}}}\n");
        let all: String = (0..40).map(line).collect();
        assert_eq!(file.write(all.as_bytes()).unwrap(), all.len());
        file.write_all(line(40).as_bytes()).unwrap();
        let rolled = fs::read_dir(folder.path()).unwrap().count() - 1;
        let older =
            (1..=rolled).rev().map(|n| fs::read_to_string(folder.path().join(format!("node.log.{n}"))).unwrap());
        let texts: Vec<String> = older.chain([fs::read_to_string(&path).unwrap()]).collect();
        assert!(texts.len() > 3 && texts.iter().all(|text| text.len() <= 100 && text.ends_with('\n')), "{texts:?}");
        assert_eq!(texts.concat(), all + &line(40));
    }

    #[test]
    fn writers_of_one_file_lose_no_line_and_exceed_no_size_while_it_rolls() {
        let folder = tempfile::tempdir().unwrap();
        let (writers, lines) = (6, 50);
        // Each logger has the file open for itself, as each process would.
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let rotation = Rotation { max_bytes: 500, keep: 1000 };
                let logger = Logger::to_folder(folder.path(), "packer", rotation, Redactor::default()).unwrap();
                scope.spawn(move || (0..lines).for_each(|line| logger.info(&format!("writer {writer} line {line}."))));
            }
        });
        let mut found = Vec::new();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(text.len() <= 500, "{}", text.len());
            found.extend(text.lines().map(|line| line.split(": ").nth(1).unwrap().to_owned()));
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len(), writers * lines);
    }

    #[test]
    fn variables_say_how_files_grow_and_nonsense_is_refused() {
        let rotation = |bytes: &str, keep: &str| {
            let lookup = |name: &str| Some(if name.ends_with("KEEP") { keep } else { bytes }.to_owned());
            Rotation::from_variables(&lookup)
        };
        let good = rotation("8192", "2").unwrap();
        assert_eq!((good.max_bytes, good.keep), (8192, 2));
        assert!(rotation("10", "2").unwrap_err().contains("4096 or more"));
        assert!(rotation("many", "2").is_err() && rotation("8192", "-1").unwrap_err().contains("SWOOSH_LOGS_KEEP"));
        assert_eq!(Rotation::from_variables(&|_| None).unwrap().keep, Rotation::default().keep);
    }

    #[test]
    fn lines_below_the_level_are_not_written_and_secrets_never() {
        let folder = tempfile::tempdir().unwrap();
        let redactor = Redactor::new(["hunter2-hunter2".to_owned()]);
        let logger = Logger::to_folder(folder.path(), "sources", Rotation::default(), redactor).unwrap();
        logger.log(Level::Debug, "too fine");
        logger.warn("cloning https://bob:hunter2-hunter2@example.org/x");
        let text = fs::read_to_string(folder.path().join("sources.log")).unwrap();
        assert!(!text.contains("too fine") && !text.contains("hunter2"), "{text}");
        assert!(text.contains("WARN sources: cloning https://[redacted]@example.org/x"), "{text}");
    }
}
