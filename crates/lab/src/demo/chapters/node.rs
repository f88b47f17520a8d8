//! A daemon in an empty directory.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::demo::cast::Cast;
use crate::demo::daemon::Daemon;
use crate::demo::follow::Followed;
use crate::demo::outside::Outside;
use crate::demo::repositories::Repositories;
use crate::demo::servers::Servers;
use crate::demo::ship;
use crate::demo::stage::Stage;
use crate::demo::story::Story;
use swoosh_client::{Client, Identity};
use swoosh_machine::head::Head;
use swoosh_platform::keyfile;
use swoosh_types::proposal::default_project;

/// Makes keys and settings, starts the daemon, and meets it.
pub(in crate::demo) async fn open(directory: &Path, mut story: Story) -> anyhow::Result<Stage> {
    story.title("SWOOSH on a temporary daemon. ✓ was accepted, ✗ was refused and changed nothing.");
    story.chapter("A node in an empty directory");
    let mut cast = Cast::new("demo".parse()?)?;
    cast.keys().for_each(|(name, key)| story.wording.call(key, name));
    story.say(&format!(
        "Keys are made for an operator, an agent, a worker, a human, and five candidates for the council: ada, ben, \
         cleo, dora and emil. Each of them has a client of their own and speaks HTTP. The daemon lives in {}.",
        directory.display()
    ));
    let outside = Outside::new(directory.join(ship::FACTS), cast.cluster().clone(), Identity::generate()?);
    story.wording.call(outside.platform().public(), "platform");
    let servers = Servers::start(cast.cluster()).await?;
    introduce(&mut story, &servers);
    let packer = packer()?;
    story.say(&format!(
        "Two tools are the real ones: git makes and serves the sources, and {packer} builds the environment."
    ));
    let repositories = Repositories::make(&directory.join("repositories"))?;
    let settings = ship::write(directory, &cast, outside.platform().public(), &servers, &repositories)?;
    let daemon = Daemon::start(&settings, directory, &repositories.environment()).await?;
    let health = Client::reader(&daemon.url)?.health().await?;
    cast.add("node", keyfile::load(&directory.join(ship::DATA).join("node.key"))?.into());
    anyhow::ensure!(cast.key("node")? == health.node, "the daemon has another key than its key file");
    story.wording.call(health.node, "node");
    cast.connect(&daemon.url, health.node)?;
    story.check(&format!(
        "swoosh {} listens on {} after {:.2} s, with a fresh key, a fresh log and a schedule whose cycles last {:.1} s.",
        health.version,
        daemon.url,
        daemon.start_took.as_secs_f64(),
        ship::schedule()?.cycle_ms() as f64 / 1000.0
    ));
    let project = default_project();
    Ok(Stage {
        story,
        cast,
        daemon,
        outside,
        servers,
        repositories,
        schedule: ship::schedule()?,
        directory: directory.to_owned(),
        settings,
        node: health.node,
        head: Head::genesis(&project),
        project,
        followed: Followed::default(),
    })
}

/// Which packer is here.
fn packer() -> anyhow::Result<String> {
    let program = std::env::var_os("SWOOSH_PACKER").filter(|program| !program.is_empty());
    let program = program.unwrap_or_else(|| "packer".into());
    let said = Command::new(program).arg("version").env("CHECKPOINT_DISABLE", "1").stdin(Stdio::null()).output();
    let said = said.ok().filter(|said| said.stdout.starts_with(b"Packer v")).context(
        "the demo builds an environment with packer, and `packer version` does not work here; `make demo` installs it \
         with apt-get, elsewhere https://developer.hashicorp.com/packer/install tells how, and SWOOSH_PACKER may name it",
    )?;
    Ok(String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or("packer").to_owned())
}

/// Who is outside.
fn introduce(story: &mut Story, servers: &Servers) {
    story.wording.call(servers.kaching.key(), "kaching");
    story.wording.call(servers.beats.key(), "backbeat");
    story.say(
        "Stand-ins for the outside servers run on this machine and speak the real protocols: KACHING signs \
         licenses, BACKBEAT leads the beats, BUBBLE takes the decision records, and `search` and `archive` are two MCP \
         servers. A platform signs capacity and pulses and writes them to a file.",
    );
}
