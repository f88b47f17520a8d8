//! Help of `swoosh fact`: how facts are used, and a body of every kind.

#[cfg(test)]
use crate::types::fact::FactKind;

/// `swoosh fact --help`.
pub(super) const FACT: &str = "\
Sign facts, keep them in a file, list a node's facts.

Guards judge by facts: signed observations from outside (a license, capacity, health). A node \
believes facts of its own, and of the keys that its settings list for their kind:

  facts:
    file: facts.json
    sources:
      license: [\"hmmm:pubkey:…\"]

It reads the file at the start and again whenever it changes. Facts can be pushed to it as well (`swoosh fact post`).";

/// `swoosh fact put --help`.
pub(super) const PUT: &str = "\
Examples:
  swoosh fact sign … | swoosh fact put facts.json
  swoosh fact put facts.json license.json capacity.json";

/// `swoosh fact post --help`.
pub(super) const POST: &str = "\
Push signed facts to a node, which keeps them until they run out.

The node checks each fact, writes it to its data directory, and believes it from then on, also after a restart, \
until it runs out or its source says something newer. A fact that is not newer than what the node holds is left \
alone. A fact whose --valid-until lies in the past takes back what its source said before.

Exits with 1 when a fact is refused, or when one is left alone.";

/// The examples of `swoosh fact post --help`.
pub(super) const POST_EXAMPLES: &str = "\
Examples:
  swoosh fact sign --kind capacity --key probe.key --cluster swoosh --valid-for 1h @capacity.json | swoosh fact post
  curl -H 'content-type: application/json' --data @fact.json http://127.0.0.1:7400/facts";

/// `swoosh fact sign --help`.
pub(super) const SIGN: &str = r#"Examples, one for each kind:
  swoosh fact sign --kind license --key kaching.key --cluster swoosh --valid-for 30d \
    '{"id": "license-1", "scopes": ["swoosh"]}'
  swoosh fact sign --kind capacity --key probe.key --cluster swoosh --valid-for 1h \
    '{"resources": {"vcpu": 16, "memory_mib": 65536}}'
  swoosh fact sign --kind health --key probe.key --cluster swoosh --project alpha --valid-for 1h \
    '{"assets": {"images/base.qcow2": "ok", "images/web.qcow2": "degraded"}}'
  swoosh fact sign --kind tooling --key probe.key --cluster swoosh --valid-for 1h \
    '{"servers": {"https://tools.example/mcp": {"reachable": true, "server": "tools", "version": "1.2.0"}}}'
  swoosh fact sign --kind liveness --key probe.key --cluster swoosh --valid-for 5m \
    '{"members": {"hmmm:pubkey:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": {"alive": true, "since": "2026-01-31T12:00:00.000+00:00#0"}}}'
  swoosh fact sign --kind windows --key backbeat.key --cluster swoosh \
    '{"epoch": "2026-01-01T00:00:00.000+00:00#0", "beat_ms": 60000, "cycle_beats": 60, "windows": {"plan": [{"phase_beats": 0, "length_beats": 20}], "review": [{"phase_beats": 30, "length_beats": 15}], "reverb": [{"phase_beats": 45, "length_beats": 15}]}}'
  swoosh fact sign --kind policy --key shhh.key --cluster swoosh \
    '{"serial": 2, "policies": "permit (principal, action, resource);"}'

Straight into the file that the node reads:
  swoosh fact sign --kind license … | swoosh fact put facts.json

A policy bundle from a file of Cedar policies:
  jq -n --rawfile policies rules.cedar '{serial: 2, $policies}' | swoosh fact sign --kind policy … -

Tooling, capacity, health and liveness are believed for a day at most, a license for 400 days, the rest for ten
years."#;

/// The bodies that the examples show, with their kinds.
#[cfg(test)]
pub(super) fn bodies() -> impl Iterator<Item = (FactKind, &'static str)> {
    let kind = |text: &str| FactKind::ALL.iter().copied().find(|kind| text.starts_with(kind.as_str()));
    let body = |text: &'static str| text.split('\'').nth(1);
    let examples = SIGN.split("Straight into").next().unwrap_or_default();
    examples.split("--kind ").filter_map(move |text| kind(text).zip(body(text)))
}
