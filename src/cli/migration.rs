//! `swoosh migration`: the state of the migration, differences, and the operator's order that switches it.

use std::process::ExitCode;

use serde_json::json;

use super::connect::{Node, NodeArgs, SignerArgs};
use super::output::{Output, Table, count, fields};
use super::time::{self, Span};
use crate::types::hlc::Hlc;
use crate::types::migration::{
    CallerView, Divergence, MigrationMode, MigrationView, Order, Outage, Routing, Switch, Uncompared,
};
use crate::types::names::Region;
use crate::types::text::{ProjectName, Rationale};
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh migration`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Take WHOOSH's place step by step, and go back",
    long_about = "Take WHOOSH's place step by step, and go back.\n\n\
        With migration.upstream in its settings a node is between WHOOSH and its clients, which notice nothing: \
        migration.listen answers on the paths that they know. Who decides follows from the mode:\n\n\
        shadow   WHOOSH decides; SWOOSH applies the same and compares answers, states and hashes\n\
        regions  SWOOSH decides in the regions named, WHOOSH in the others; each receives the other's decisions\n\
        cutover  SWOOSH decides everything, and nothing is written to WHOOSH\n\
        bypass   WHOOSH decides again, after it received everything that SWOOSH decided; SWOOSH follows\n\n\
        docs/migration.md has the whole story, runbooks/whoosh-cutover.md the commands in their order.",
    after_help = "Examples:\n  swoosh migration status\n  swoosh migration divergences --limit 5\n  \
        swoosh migration mode regions --region council --rationale 'Step 3 of the plan.' --key operator.key\n  \
        swoosh migration mode cutover --rationale 'A week without a divergence.' --key operator.key\n  \
        swoosh migration mode bypass --rationale 'Latency of council agents.' --key operator.key\n  \
        swoosh migration mode cutover --without-comparison --yes --rationale 'WHOOSH is gone.' --key operator.key"
)]
pub struct MigrationCommand {
    #[command(subcommand)]
    action: MigrationAction,
}

#[derive(Debug, clap::Subcommand)]
enum MigrationAction {
    /// Show the routing, differing projects, members that callers do not send yet, and their grants
    #[command(after_help = "Example:\n  swoosh --json migration status")]
    Status {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Switch who decides; the order is signed by an operator of the node's settings
    ///
    /// The switch is durable and in force when the command returns. Before SWOOSH decides more than it did, all
    /// projects are compared, and it is refused while any differs. Before it decides less, WHOOSH receives
    /// everything that SWOOSH decided. With --quiet-for it is also refused while the last divergence, or the last switch,
    /// is younger than that.
    ///
    /// If WHOOSH gives no answer, it can be neither compared nor sent anything. `cutover --without-comparison` then switches
    /// all the same; the switch keeps why. Without --yes the command shows the outage and changes nothing. If WHOOSH answers
    /// after all, the projects are compared as always (runbooks/whoosh-dead.md).
    #[command(
        after_help = "Examples:\n  swoosh migration mode regions --region council --rationale 'Step 3.' --key operator.key\n  \
        swoosh migration mode cutover --quiet-for 7d --rationale 'Step 4.' --key operator.key\n  \
        swoosh migration mode bypass --rationale 'Roll back: see incident 7.' --key operator.key\n  \
        swoosh migration mode cutover --without-comparison --yes --rationale 'WHOOSH is gone: incident 8.' --key operator.key"
    )]
    Mode {
        /// shadow, regions, cutover or bypass
        #[arg(value_name = "MODE")]
        mode: MigrationMode,
        /// Region that SWOOSH is to decide, in mode regions; may be given many times
        #[arg(long = "region", value_name = "REGION", value_delimiter = ',')]
        regions: Vec<Region>,
        /// Why; it is kept with the switch
        #[arg(long, value_name = "TEXT")]
        rationale: Rationale,
        /// Only if nothing differed, and nothing was switched, for so long; such as 7d
        #[arg(long, value_name = "SPAN")]
        quiet_for: Option<Span>,
        /// Cut over also while WHOOSH gives no state to compare with; needs --yes
        #[arg(long)]
        without_comparison: bool,
        /// Do it
        #[arg(long, requires = "without_comparison")]
        yes: bool,
        #[command(flatten)]
        signer: SignerArgs,
    },
    /// List what differed between WHOOSH and SWOOSH, newest first, with both sides
    #[command(
        after_help = "Examples:\n  swoosh migration divergences\n  swoosh --json migration divergences --limit 1000"
    )]
    Divergences {
        /// Most divergences, 1 to 1000
        #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
        #[command(flatten)]
        node: NodeArgs,
    },
}

impl MigrationCommand {
    /// Shows or switches.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            MigrationAction::Status { node } => {
                let node = node.reader()?;
                let view = node.ask(node.client().migration())?;
                let last = last_divergence(&node)?;
                output.say(&view, || status(&view, last))?;
            }
            MigrationAction::Mode { mode, regions, rationale, quiet_for, without_comparison, yes, signer } => {
                let routing = Routing { mode, regions: regions.into_iter().collect() };
                if let Some(fault) = routing.fault() {
                    return Err(Usage(format!("{fault}; regions are given with --region")).into());
                }
                if without_comparison && mode != MigrationMode::Cutover {
                    return Err(Usage("only mode cutover may go --without-comparison".to_owned()).into());
                }
                let node = signer.signer()?;
                if without_comparison && !yes {
                    let view = node.ask(node.client().migration())?;
                    output.say(&json!({"switched": false, "migration": view}), || unconfirmed(&view))?;
                    return Ok(ExitCode::FAILURE);
                }
                if let Some(span) = quiet_for {
                    soaked(&node, span)?;
                }
                let switch = order(&node, routing, rationale, without_comparison)?;
                let cluster = node.client().cluster().map(ToString::to_string).unwrap_or_default();
                let mut document = serde_json::to_value(&switch)?;
                document["cluster"] = json!(cluster);
                output.say(&document, || format!("{} (cluster {cluster})", switched(&switch)))?;
            }
            MigrationAction::Divergences { limit, node } => {
                let node = node.reader()?;
                let divergences = node.ask(node.client().divergences(limit))?;
                output.say(&json!({"divergences": divergences}), || listed(&divergences))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses what has not been quiet for so long: something differed meanwhile, or the last switch is younger.
fn soaked(node: &Node, Span(wanted_ms): Span) -> anyhow::Result<()> {
    let view = node.ask(node.client().migration())?;
    let (now_ms, wanted) = (time::now().physical_ms(), time::spell(wanted_ms));
    let since = |at: Hlc| now_ms.saturating_sub(at.physical_ms());
    if let Some(last) = node.ask(node.client().divergences(1))?.first().filter(|last| since(last.at) < wanted_ms) {
        anyhow::bail!(
            "it was not quiet for {wanted}: {} in all, the last one {} ago ({}); nothing was switched. \
             `swoosh migration divergences` shows both sides",
            count(view.divergences, "divergence"),
            time::spell(since(last.at)),
            last.detail
        );
    }
    if let Some(switch) = view.last_switch.filter(|switch| since(switch.at) < wanted_ms) {
        let ago = time::spell(since(switch.at));
        anyhow::bail!(
            "it was not quiet for {wanted}: {} is in force for {ago} only; nothing was switched. Wait, or ask for less",
            view.routing
        );
    }
    Ok(())
}

/// When something differed last, in words.
fn last_divergence(node: &Node) -> anyhow::Result<String> {
    let last = node.ask(node.client().divergences(1))?;
    Ok(last.first().map_or_else(|| "none yet".to_owned(), |last| format!("{}: {}", last.at, last.detail)))
}

/// Signs an order on the last switch, and sends it.
fn order(node: &Node, routing: Routing, rationale: Rationale, without_comparison: bool) -> anyhow::Result<Switch> {
    let client = node.client();
    let (Some(cluster), Some(identity)) = (client.cluster().cloned(), client.identity().cloned()) else {
        return Err(Usage("an order is signed; name your key's file with --key".to_owned()).into());
    };
    let follows = node.ask(client.migration())?.switches;
    let (hlc, signer) = (client.clock().now(), identity.public());
    let order = Order { routing, follows, rationale, hlc, without_comparison, signer };
    node.ask(client.order(&order.sign(&cluster, identity.key())))
}

fn switched(switch: &Switch) -> String {
    let to = &switch.order.order.routing;
    let delivered = match switch.passed_on {
        0 => String::new(),
        transitions => format!("; WHOOSH received {} before", count(transitions, "transition")),
    };
    let uncompared = uncompared(switch).map(|text| format!("\n{text}")).unwrap_or_default();
    format!(
        "switch {}: from {} to {to}, at record {}{delivered}{uncompared}",
        switch.number, switch.from, switch.last_index
    )
}

/// Says that a switch was made without the comparison, and what was known then.
fn uncompared(switch: &Switch) -> Option<String> {
    let Uncompared { reason, differing, projects, not_passed_on } = switch.uncompared.as_ref()?;
    let mut text = format!("without comparison: {reason}");
    if *differing > 0 {
        text += &format!("; {} differed when last compared: {}", count(*differing, "project"), names(projects));
    }
    if *not_passed_on > 0 {
        text += &format!("; WHOOSH did not get {}", count(*not_passed_on, "record"));
    }
    Some(text)
}

/// The outage, as it is shown before a cut-over without the comparison is confirmed.
fn unconfirmed(view: &MigrationView) -> String {
    let about = fields(&[
        ("mode", view.routing.to_string()),
        ("WHOOSH", outage(view)),
        ("differing", names(&view.diverged)),
        ("divergences", view.divergences.to_string()),
        ("not passed on", view.not_passed_on.to_string()),
    ]);
    format!(
        "{about}\nSWOOSH would decide everything, on states that were not compared with WHOOSH's, and WHOOSH must not go on deciding\n\
         nothing was changed; runbooks/whoosh-dead.md leads through it:\n  \
         swoosh migration mode cutover --without-comparison --yes --rationale \"WHO: WHY\" --key FILE"
    )
}

fn outage(view: &MigrationView) -> String {
    match &view.outage {
        None => view.upstream.clone(),
        Some(Outage { since, failures, reason }) => {
            format!("{}: no answer since {since}, {}; {reason}", view.upstream, count(*failures, "failure"))
        }
    }
}

fn names(projects: &[ProjectName]) -> String {
    let names: Vec<&str> = projects.iter().map(|project| project.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn status(view: &MigrationView, last_divergence: String) -> String {
    let last = view.last_switch.as_ref().map_or_else(
        || "none yet".to_owned(),
        |switch| {
            format!(
                "{} at {}, by {}: {}{}",
                switch.number,
                switch.at,
                switch.order.order.signer,
                switch.order.order.rationale,
                uncompared(switch).map(|text| format!(" ({text})")).unwrap_or_default()
            )
        },
    );
    let mut table = Table::with(&["caller", "proposals", "without key", "without hlc", "without window", "delegate"]);
    for caller in &view.callers {
        let CallerView { proposals, without_key, without_hlc, without_window_id, .. } = caller;
        let counts = [proposals, without_key, without_hlc, without_window_id].map(ToString::to_string);
        let [proposals, key, hlc, window] = counts;
        table.row([caller.name.to_string(), proposals, key, hlc, window, caller.delegate.to_string()]);
    }
    let about = fields(&[
        ("mode", view.routing.to_string()),
        ("last switch", last),
        ("WHOOSH", outage(view)),
        ("its clients", view.listen.clone()),
        ("differing", names(&view.diverged)),
        ("divergences", view.divergences.to_string()),
        ("the last one", last_divergence),
        ("not passed on", view.not_passed_on.to_string()),
    ]);
    [format!("{about}\n{}", table.text(2)), grants(view), other_paths(view)].concat()
}

/// The grants of the settings, those that ended among them.
fn grants(view: &MigrationView) -> String {
    if view.grants.is_empty() {
        return String::new();
    }
    let now = time::now();
    let mut table = Table::with(&["grant", "caller", "roles", "projects", "op classes", "until"]);
    for (name, grant) in &view.grants {
        let roles = listing(grant.roles.iter().map(|role| role.as_str()));
        let projects = listing(grant.projects.iter().map(|project| project.as_str()));
        let classes = listing(grant.op_classes.iter().map(|class| class.as_str()));
        let ended = if grant.counts(now) { "" } else { " (ended)" };
        let until = format!("{}{ended}", grant.until);
        table.row([name.to_string(), grant.caller.to_string(), roles, projects, classes, until]);
    }
    format!("\n{}", table.text(2))
}

fn listing<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    texts.collect::<Vec<_>>().join(",")
}

/// Paths that SWOOSH does not know, with the requests that WHOOSH got and those that were refused.
fn other_paths(view: &MigrationView) -> String {
    if view.other_paths.is_empty() {
        return String::new();
    }
    let mut table = Table::with(&["path of WHOOSH alone", "passed on", "refused"]);
    for other in &view.other_paths {
        let path = format!("{} {}", other.method, other.path);
        table.row([path, other.passed.to_string(), other.refused.to_string()]);
    }
    let more = match view.unlisted_paths {
        0 => String::new(),
        requests => format!("\n{} on further paths", count(requests, "request")),
    };
    format!("\n{}{more}", table.text(2))
}

fn listed(divergences: &[Divergence]) -> String {
    if divergences.is_empty() {
        return "WHOOSH and SWOOSH did not differ so far".to_owned();
    }
    let one = |found: &Divergence| {
        let mut about = vec![("mode", found.mode.to_string())];
        about.extend(found.project.as_ref().map(|project| ("project", project.to_string())));
        about.extend(found.transition.map(|transition| ("after", transition.to_string())));
        about.extend(found.caller.as_ref().map(|caller| ("caller", caller.to_string())));
        about.extend([("WHOOSH", found.whoosh.clone()), ("SWOOSH", found.swoosh.clone())]);
        format!("{} at {}: {}: {}\n{}", found.number, found.at, found.kind.as_str(), found.detail, fields(&about))
    };
    divergences.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divergence_is_shown_with_both_sides() {
        let found = serde_json::from_value::<Divergence>(json!({
            "number": 3, "at": "2025-10-19T00:00:00.000+00:00#0", "mode": "shadow", "kind": "state", "project": "alpha",
            "detail": "the states differ in council.phase", "whoosh": "{\"council.phase\":\"READY\"}",
            "swoosh": "{\"council.phase\":\"ELECT\"}",
        }));
        let text = listed(&[found.unwrap()]);
        for part in ["3 at 2025-10-19", "council.phase", "READY", "ELECT", "alpha"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(listed(&[]).contains("did not differ"));
    }
}
