//! The actions of `swoosh packer` and what each takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::builds::BuildArgs;
use crate::cli::time::Span;
use crate::hybridcore::packer::{BuildRequest, Tool};
use crate::types::secret::Secret;
use crate::types::text::Name;
use swoosh_terminal::failure::Usage;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Format templates the way packer likes them
    ///
    /// Takes .pkr.hcl and .pkrvars.hcl files, or folders of them; JSON templates have no such form.
    #[command(
        after_help = "Examples:\n  swoosh packer fmt templates\n  swoosh packer fmt --check templates/web.pkr.hcl   \
        # names what it would rewrite, and ends with 1"
    )]
    Fmt {
        /// Files or folders
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
        /// Only look
        #[arg(long)]
        check: bool,
    },
    /// Check a template with its variables; nothing is built
    ///
    /// Installs the plugins that the template asks for first, with packers that know `packer init` (1.7 and later).
    #[command(
        after_help = "Example:\n  swoosh packer validate templates/web.pkr.hcl --var-file configs/lab.pkrvars.hcl"
    )]
    Validate {
        #[command(flatten)]
        recipe: RecipeArgs,
    },
    /// Build a template, unless nothing changed
    ///
    /// Inputs are the template, the files and folders inside the root that it names, variables, variable files, --asset, and the
    /// versions of packer and plugins. When they are those of the last good run and what that made is still there, nothing is built.
    /// Where it cannot be determined which files the template names, the build runs each time and says so; --asset names them then.
    /// A build that fails for a reason that may pass (a network, a limit of requests) is tried again. Its artifacts
    /// are recorded, and `remove` deletes them. Packer with exit code 0 and without artifacts has failed.
    #[command(after_help = "Examples:\n  swoosh packer build templates/web.pkr.hcl\n  \
        swoosh packer build templates --name lab --var-file configs/lab.pkrvars.hcl --var size=2\n  \
        LAB_PASSWORD=… swoosh packer build templates/web.pkr.hcl --secret password=LAB_PASSWORD --env AWS_REGION\n  \
        swoosh --json packer build templates/web.pkr.hcl > result.json")]
    Build {
        #[command(flatten)]
        recipe: RecipeArgs,
        /// A file or folder that counts as an input, beside those that the template names; once for each
        #[arg(long = "asset", value_name = "PATH")]
        assets: Vec<PathBuf>,
        /// Build although nothing changed
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        bounds: BoundArgs,
    },
    /// Build an environment's builder: configuration, templates and packer in one
    ///
    /// Renders the configuration, composes the templates (as `swoosh config render` and `swoosh templates compose` do) and builds
    /// them. The build is called ENV.BUILD. Secrets that the configuration names with env() are looked up in your environment.
    #[command(after_help = "Examples:\n  swoosh packer provision dev --builder file.linux-image\n  \
            swoosh packer provision prod --builder proxmox-iso.linux-debian-12 --set disk_gib=40")]
    Provision {
        #[command(flatten)]
        build: BuildArgs,
        /// Folder of overlays, schema, inventory and templates; left out, config/hybridcore in the root, or the built-in ones
        #[arg(long, value_name = "FOLDER", env = "SWOOSH_DEFINITIONS")]
        definitions: Option<PathBuf>,
        /// Replace files that were edited by hand; they are kept beside as NAME.edited
        #[arg(long)]
        overwrite: bool,
        /// A file or folder that counts as an input, beside those that the templates name; once for each
        #[arg(long = "asset", value_name = "PATH")]
        assets: Vec<PathBuf>,
        /// Build although nothing changed
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        bounds: BoundArgs,
    },
    /// Show how every build is: fresh, drifted, damaged or missing, and what changed
    ///
    /// Reads only, also while a build runs. Ends with 1 when any is not fresh.
    #[command(after_help = "Examples:\n  swoosh packer status\n  swoosh --json packer status web")]
    Status {
        /// Only this build
        #[arg(value_name = "NAME")]
        name: Option<Name>,
    },
    /// Hash what a run made again, and name what is missing or changed
    #[command(
        after_help = "Examples:\n  swoosh packer verify web\n  swoosh packer verify web --run web-1760837025678-4711"
    )]
    Verify {
        /// The build
        #[arg(value_name = "NAME")]
        name: Name,
        /// The run; the last good one when left out
        #[arg(long, value_name = "ID")]
        run: Option<String>,
    },
    /// Remove what a run made, and nothing else
    ///
    /// Files that were changed since, and images that live elsewhere, stay and are named; then it ends with 1.
    #[command(
        after_help = "Examples:\n  swoosh packer remove web\n  swoosh packer remove web --run web-1760837025678-4711"
    )]
    Remove {
        /// The build
        #[arg(value_name = "NAME")]
        name: Name,
        /// The run; when left out the last good one, or else the last that failed and made something
        #[arg(long, value_name = "ID")]
        run: Option<String>,
        /// All runs but the last good one, with their logs
        #[arg(long, conflicts_with = "run")]
        superseded: bool,
    },
}

impl Action {
    /// Time, output and tries, where it builds.
    pub(super) fn bounds(&self) -> Option<&BoundArgs> {
        match self {
            Action::Build { bounds, .. } | Action::Provision { bounds, .. } => Some(bounds),
            _ => None,
        }
    }
}

/// The template to check or build.
#[derive(Debug, clap::Args)]
pub(super) struct RecipeArgs {
    /// A .pkr.hcl or .json file, or a folder of .pkr.hcl files
    #[arg(value_name = "TEMPLATE")]
    template: PathBuf,
    /// The build's name; the template's name when left out
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// Where packer runs; the root when left out
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// A variable, which anybody may see; once for each
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = assignment)]
    variables: Vec<(String, String)>,
    /// A file of variables; once for each, later ones win
    #[arg(long = "var-file", value_name = "FILE")]
    var_files: Vec<PathBuf>,
    /// A secret variable, and the environment variable that holds it; once for each
    #[arg(long = "secret", value_name = "NAME=VARIABLE", value_parser = assignment)]
    secrets: Vec<(String, String)>,
    /// A secret variable, and the file that holds it; once for each
    #[arg(long = "secret-file", value_name = "NAME=FILE", value_parser = assignment)]
    secret_files: Vec<(String, String)>,
    /// An environment variable that packer gets too (credentials of a builder); once for each
    #[arg(long = "env", value_name = "VARIABLE")]
    environment: Vec<String>,
    /// Only these of the template's builds, separated by commas
    #[arg(long, value_name = "BUILDS", value_delimiter = ',')]
    only: Vec<String>,
    /// All of the template's builds but these, separated by commas
    #[arg(long, value_name = "BUILDS", value_delimiter = ',', conflicts_with = "only")]
    except: Vec<String>,
    /// How many of the template's builds run at once; 0 for all
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    parallel: u32,
}

/// How long and how much.
#[derive(Debug, clap::Args)]
pub(super) struct BoundArgs {
    /// The most that one try may take
    #[arg(long, value_name = "TIME", default_value = "4h")]
    time_limit: Span,
    /// How long packer may clean up when it must stop, before it is killed
    #[arg(long, value_name = "TIME", default_value = "30s")]
    grace: Span,
    /// The most MiB that it may say
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    output_limit: u64,
    /// Tries of a build that fails for a reason that may pass
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: u32,
    /// Folder of downloads that builds share; each run has its own, removed after it, when left out
    #[arg(long, value_name = "FOLDER", env = "SWOOSH_PACKER_CACHE")]
    cache: Option<PathBuf>,
}

impl BoundArgs {
    pub(super) fn apply(&self, tool: &mut Tool) {
        tool.bounds.time_limit = Duration::from_millis(self.time_limit.0);
        tool.bounds.grace = Duration::from_millis(self.grace.0);
        tool.bounds.output_bytes = self.output_limit << 20;
        tool.retry.attempts = self.attempts;
        tool.cache = self.cache.clone();
    }
}

impl RecipeArgs {
    /// The request that these arguments make.
    pub(super) fn request(self) -> anyhow::Result<BuildRequest> {
        let name = match self.name {
            Some(name) => name,
            None => name_of(&self.template)?,
        };
        let from_environment = |name: &String| {
            std::env::var(name)
                .map_err(|_| Usage(format!("the environment variable {name} is not set; set it to the value")))
        };
        if let Some((name, _)) = self.variables.iter().find(|(name, _)| sounds_secret(name)) {
            return Err(Usage(format!(
                "the variable {name} sounds like a secret, and --var shows it to all users; give it with --secret \
                 {name}=VARIABLE or --secret-file {name}=FILE"
            ))
            .into());
        }
        let mut secrets = BTreeMap::new();
        for (name, variable) in &self.secrets {
            secrets.insert(name.clone(), Secret::new(from_environment(variable)?));
        }
        for (name, path) in &self.secret_files {
            let text = crate::files::read_to_string(Path::new(path))
                .map_err(|error| Usage(format!("the secret's file {path} cannot be read: {error}")))?;
            // The line end is the editor's, not the secret's.
            secrets.insert(name.clone(), Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        let environment: Result<_, anyhow::Error> =
            self.environment.iter().map(|name| Ok((name.clone(), from_environment(name)?))).collect();
        Ok(BuildRequest {
            folder: self.folder,
            var_files: self.var_files,
            variables: self.variables.into_iter().collect(),
            secrets,
            environment: environment?,
            only: self.only,
            except: self.except,
            parallel: self.parallel,
            ..BuildRequest::new(name, self.template)
        })
    }
}

/// A build's name from its template: that of the folder, or of the file without its endings.
fn name_of(template: &Path) -> anyhow::Result<Name> {
    let whole = std::path::absolute(template).unwrap_or_else(|_| template.to_owned());
    let file = whole.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let endings = [".pkr.hcl", ".pkr.json", ".json", ".hcl"];
    let stem = endings.iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(&file);
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(allowed).take(63).collect();
    name.trim_start_matches(['.', '_', '-'])
        .parse()
        .map_err(|_| Usage(format!("{} gives the build no name; name it with --name", template.display())).into())
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd", "secret", "token"].iter().any(|word| name.contains(word))
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let error = || format!("{text:?} is no assignment; write NAME=VALUE");
    let (name, value) = text.split_once('=').ok_or_else(error)?;
    if name.is_empty() { Err(error()) } else { Ok((name.to_owned(), value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_after_its_template() {
        for (template, name) in [
            ("templates/web.pkr.hcl", "web"),
            ("Web Server.json", "web-server"),
            ("templates/", "templates"),
            ("a.b.pkr.json", "a.b"),
        ] {
            assert_eq!(name_of(Path::new(template)).unwrap().as_str(), name);
        }
        assert!(name_of(Path::new("/")).unwrap_err().to_string().contains("--name"));
    }

    #[test]
    fn an_assignment_has_a_name_and_any_value() {
        assert_eq!(assignment("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(assignment("=b").is_err() && assignment("a").is_err());
    }
}
