//! Each command of docs/mission.md runs: here against a node, or in the test that is named here.

use std::collections::BTreeSet;
use std::path::Path;

use swoosh::types::names::Region;

use crate::support::daemon::Site;
use crate::support::driver::Project;

/// Where a command runs.
enum Place {
    /// Here, with these arguments after it; `NODE` and `DATA` are those of a running node.
    Here(&'static [&'static str]),
    /// In this file of the tests, which has its words as arguments.
    In(&'static str),
}
use Place::{Here, In};

const COMMANDS: &[(&str, Place)] = &[
    ("statechart check", Here(&[])),
    ("statechart render", Here(&[])),
    ("transitions", Here(&["--project", "p", "--node", "NODE"])),
    ("wal verify", Here(&["--data", "DATA"])),
    ("snapshot list", Here(&["--data", "DATA"])),
    ("clock show", Here(&["--data", "DATA"])),
    ("propose", In("known_nodes.rs")),
    ("windows", Here(&["--node", "NODE"])),
    ("policy check", Here(&[])),
    ("council propose", Here(&["--project", "p", "--node", "NODE"])),
    ("mcp check", In("providers/mcp.rs")),
    ("license show", Here(&["--node", "NODE"])),
    ("health", Here(&["--node", "NODE"])),
    ("wal accept", In("losses.rs")),
    ("restore", In("backup.rs")),
    ("state", Here(&["--project", "p", "--node", "NODE"])),
    ("decisions verify", Here(&["--data", "DATA"])),
    ("replay", Here(&["--data", "DATA", "--reguard"])),
    ("decision", Here(&["p", "1", "--node", "NODE"])),
    ("migration status", In("migration/outage.rs")),
];

/// Commands that the page names, without the program's name.
fn asked() -> BTreeSet<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mission.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter_map(|words| words.strip_prefix("swoosh ")).map(str::to_owned).collect()
}

/// Some rows named commands that neither a test nor the demo ran.
#[test]
fn every_command_of_the_mission_runs() {
    assert_eq!(COMMANDS.iter().map(|(command, _)| (*command).to_owned()).collect::<BTreeSet<_>>(), asked());
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "p").drive(&daemon, Region::Council, "ELECT");
    let (node, data) = (format!("http://{}", daemon.address), site.data());
    for (command, place) in COMMANDS {
        let words = command.split(' ');
        match place {
            Here(more) => {
                let more = more.iter().map(|word| match *word {
                    "NODE" => node.as_str(),
                    "DATA" => data.to_str().unwrap(),
                    word => word,
                });
                let output = site.tool(&words.chain(more).collect::<Vec<_>>());
                assert!(output.status.success(), "swoosh {command}: {output:?}");
                assert!(!output.stdout.is_empty(), "swoosh {command} shows nothing");
            }
            In(file) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration").join(file);
                let text = std::fs::read_to_string(path).unwrap();
                let arguments = words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
                assert!(text.contains(&arguments), "{file} does not run swoosh {command}");
            }
        }
    }
}
