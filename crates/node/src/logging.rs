//! The log of a process that serves: standard output, the file that the settings name, and what is kept out of both.

use std::io::{IsTerminal as _, Write};
use std::sync::Arc;

use anyhow::Context as _;

use swoosh_hybridcore::logs::{LineFile, Redactor, Rotation};
use swoosh_platform::secrets::Secrets;
use swoosh_settings::{LogFormat, Settings};
use swoosh_telemetry::log::{self, Format, LogGuard};

/// Opens it. Keep the guard until the end.
pub fn open(settings: &Settings) -> anyhow::Result<LogGuard> {
    let wanted = &settings.log;
    let format = match wanted.format {
        LogFormat::Auto if std::io::stdout().is_terminal() => Format::Text,
        LogFormat::Auto | LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
    };
    let rotation = Rotation { max_bytes: wanted.file_max_bytes, keep: wanted.file_keep };
    let file = wanted.file.as_ref().map(|path| {
        let opened = LineFile::open(path, rotation);
        opened.with_context(|| {
            format!("log.file: {} cannot be written; name another, or make its directory", path.display())
        })
    });
    let file = file.transpose()?.map(|file| Box::new(file) as Box<dyn Write + Send>);
    let redactor = Redactor::default();
    log::clean_with(Arc::new(move |line| redactor.clean(line)));
    Ok(log::open(&wanted.level, format, file)?)
}

/// Replacement for a secret.
const MARK: &str = "[redacted]";

/// Keeps the secrets of the secrets file out of the log as well, wherever they come from.
pub fn keep_out(secrets: &Secrets) {
    let (redactor, hidden) = (Redactor::default(), secrets.as_written());
    log::clean_with(Arc::new(move |line| {
        let known = hidden.iter().filter(|secret| line.contains(secret.expose()));
        let cleaned = known.fold(line.to_owned(), |line, secret| line.replace(secret.expose(), MARK));
        redactor.clean(&cleaned)
    }));
}
