//! Taking WHOOSH's place, by the book.

use super::{ask, open};
use crate::migration::{Move, Script};
use crate::support::whoosh::Fault;

#[test]
fn whoosh_is_replaced_and_comes_back_by_the_book() {
    let moved = Move::new();
    let running = moved.start();
    let mut book = open("whoosh-cutover.md", &moved.site);
    ask(&mut book, &running.daemon);
    book.set("CLIENTS", format!("http://{}", running.clients));
    book.set("SWOOSH_KEY", moved.site.file("operator.key").display());
    book.set("REASON", "The step is due.");
    running.begin("p");
    book.tells("Check", 0, "shadow");
    book.tells("Check", 2, "ok");

    // WHOOSH forgets what it accepted: the difference is found, and holds the next step back.
    let script = Script::lifecycle(&moved.site, "p");
    moved.whoosh.set_fault(Fault::Forgets);
    let first = Script { steps: script.steps[..1].to_vec(), ..Script::lifecycle(&moved.site, "p") };
    first.run(running.clients, None);
    running.daemon.wait_for("/migration", |answer| answer.json()["diverged"] == serde_json::json!(["p"]));
    book.tells("Check", 1, "ingestion.phase");
    let said = book.try_run("Action", 0);
    assert!(!said.good && said.text.contains("migration_diverged"), "{}", said.text);
    // Where WHOOSH is behind, its client sends the transition again.
    moved.whoosh.set_fault(Fault::None);
    first.run(running.clients, None);
    running.agree("p");

    book.tells("Action", 0, "from shadow to regions council");
    book.tells("Action", 1, "to regions council,environment,execution,ingestion");
    book.tells("Action", 2, "to cutover");
    let rest = Script { steps: script.steps[1..].to_vec(), ..script };
    rest.run(running.clients, None);
    book.tells("Action", 3, "WHOOSH received");
    running.agree("p");
    book.tells("Proof", 0, "The step is due.");
    assert!(running.daemon.measures("swoosh_migration_mode{mode=\"bypass\"} 1"));
    book.finish();
}

#[test]
fn a_dead_whoosh_is_left_behind_by_the_book() {
    let moved = Move::new();
    let running = moved.start();
    let mut book = open("whoosh-dead.md", &moved.site);
    ask(&mut book, &running.daemon);
    book.set("CLIENTS", format!("http://{}", running.clients));
    book.set("WHOOSH", moved.whoosh.url());
    book.set("SWOOSH_KEY", moved.site.file("operator.key").display());
    book.set("REASON", "WHOOSH lost its disk.");
    running.begin("p");
    let script = Script::lifecycle(&moved.site, "p");
    let first = Script { steps: script.steps[..1].to_vec(), project: script.project.clone() };
    first.run(running.clients, None);
    running.agree("p");
    moved.whoosh.set_fault(Fault::HangsUp);
    running.daemon.wait_for("/health", |_| crate::migration::status_of(running.clients, "/health") == 502);
    book.tells("Check", 0, "no answer since");
    book.tells("Check", 1, "WHOOSH is silent");
    book.tells("Action", 0, "nothing was changed");
    book.tells("Action", 1, "without comparison");
    book.tells("Proof", 0, "WHOOSH lost its disk.");
    book.tells("Proof", 1, "ok");
    let rest = Script { steps: script.steps[1..].to_vec(), ..script };
    rest.run(running.clients, None);
    book.finish();
}
