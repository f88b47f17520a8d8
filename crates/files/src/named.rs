//! Files that an argument or a setting names.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Why a path is refused. It is the inner error of an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAFile {
    noun: &'static str,
}

impl std::fmt::Display for NotAFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it is {}, not a regular file", self.noun)
    }
}

impl std::error::Error for NotAFile {}

/// Opens a file to read. A named pipe, a device, a socket or a directory is refused: opening one may wait for ever or start
/// something, and its content may have no end. A pipe that this process has open is read by its name below `/dev/fd`, as a
/// shell writes `<(…)`.
pub fn open(path: &Path) -> io::Result<File> {
    check(path, &fs::metadata(path)?)?;
    // The path may lead elsewhere by now.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let found = file.metadata()?;
    check(path, &found)?;
    if found.file_type().is_fifo() {
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    }
    Ok(file)
}

/// The bytes of a file that is opened as by [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file that is opened as by [`open`].
pub fn read_to_string(path: &Path) -> io::Result<String> {
    io::read_to_string(open(path)?)
}

fn check(path: &Path, found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_file() || (kind.is_fifo() && is_own_descriptor(path)) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, NotAFile { noun: noun(kind) }))
}

fn is_own_descriptor(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

fn noun(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    fn refused(path: &Path) -> String {
        let error = read(path).unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<NotAFile>()), "{error}");
        error.to_string()
    }

    /// Opening a named pipe waited for a writer, and reading a device had no end.
    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(refused(&pipe), "it is a named pipe, not a regular file");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        assert_eq!(refused(&link), "it is a named pipe, not a regular file");
        assert_eq!(refused(Path::new("/dev/zero")), "it is a device, not a regular file");
        assert_eq!(refused(directory.path()), "it is a directory, not a regular file");
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(refused(&socket), "it is a socket, not a regular file");
        assert_eq!(read(&directory.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_behind_a_link_and_a_pipe_of_this_process_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_to_string(&link).unwrap(), "text");
        let (reader, mut writer) = io::pipe().unwrap();
        let name = format!("/dev/fd/{}", reader.as_raw_fd());
        let reading = std::thread::spawn(move || read(Path::new(&name)).unwrap());
        writer.write_all(b"piped").unwrap();
        drop(writer);
        assert_eq!(reading.join().unwrap(), b"piped");
        drop(reader);
    }
}
