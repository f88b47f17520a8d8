//! Carrying out an operator's order, and telling WHOOSH of what SWOOSH decided.

use super::ports::{PassedOn, Passing};
use super::shim::{Shim, lock};
use super::sign::without_filled;
use super::wire::{self, Verdict, verdict};
use swoosh_types::hash::Hash;
use swoosh_types::migration::{
    Call, Divergence, DivergenceKind, MigrationMode, Routing, SignedOrder, Switch, Uncompared,
};
use swoosh_types::names::{Region, Transition};
use swoosh_types::rejection::{Code, Rejection};

/// Records that are read at once.
const PAGE: usize = 200;

impl Shim {
    /// Checks an order and carries it out. It is in force, durably, when this returns.
    ///
    /// Requests that are under way are finished before, under the routing that they began with; those that come
    /// meanwhile wait.
    pub async fn order(&self, order: SignedOrder) -> Result<Switch, Rejection> {
        self.check(&order)?;
        self.follows(&order)?;
        // Most undelivered records go to WHOOSH while clients are still served, the rest while they wait.
        let to = order.order.routing.clone();
        let mut passed_on = 0;
        {
            let from = self.routing.read().await;
            if must_know(&from, &to) {
                match self.pass_on(&from).await {
                    Ok(passed) => passed_on += passed,
                    Err(rejection) => drop(self.excuse(&order, rejection)?),
                }
            }
        }
        let mut routing = self.routing.write().await;
        let number = self.follows(&order)?;
        let from = routing.clone();
        let uncompared = match self.come_together(&from, &to).await {
            Ok(passed) => {
                passed_on += passed;
                None
            }
            Err(rejection) => Some(self.excuse(&order, rejection)?),
        };
        let last_index = self.core.last_index();
        if !from.decides_any() {
            // WHOOSH decided all records so far, or needs none of them.
            *self.delivered.lock().await = last_index;
            self.keep_position(last_index)?;
        }
        let switch = Switch { number: number + 1, at: self.core.now(), from, order, last_index, passed_on, uncompared };
        lock(&self.store).switched(switch.clone())?;
        *routing = to;
        self.hold_back(&routing);
        self.watch.routed(&routing);
        let (from, to, by) = (&switch.from, &routing, switch.order.order.signer);
        let uncompared = switch.uncompared.as_ref().map(|uncompared| uncompared.reason.as_str());
        tracing::warn!(%from, %to, number = switch.number, %by, rationale = %switch.order.order.rationale, uncompared, "the migration was switched");
        Ok(switch)
    }

    /// Delivers missing records to WHOOSH and compares, as far as the switch needs it. Returns the number of delivered
    /// records.
    async fn come_together(&self, from: &Routing, to: &Routing) -> Result<u64, Rejection> {
        let passed_on = if must_know(from, to) { self.pass_on(from).await? } else { 0 };
        if from.goes_beyond(to) {
            self.must_answer().await?;
        }
        if to.goes_beyond(from) {
            self.must_agree(from).await?;
        }
        Ok(passed_on)
    }

    /// Regions go back only to a WHOOSH that answers. `pass_on` does not ask it where it has nothing to pass on.
    async fn must_answer(&self) -> Result<(), Rejection> {
        let call = Call { method: "GET".into(), target: "/health".into(), headers: Vec::new(), body: Vec::new() };
        self.send(call).await.map(drop)
    }

    /// Excuses WHOOSH's silence in an order that goes without the comparison. States that were compared and differ are never
    /// excused, and neither is a closed network gate: behind it WHOOSH may be alive and go on deciding.
    fn excuse(&self, order: &SignedOrder, rejection: Rejection) -> Result<Uncompared, Rejection> {
        let is_silent = matches!(rejection.code, Code::LegacyUnreachable | Code::LegacyTimeout);
        if !is_silent || !order.order.without_comparison {
            return Err(rejection);
        }
        if let Some(reason) = self.whoosh.barred() {
            let reason = format!("{reason}; WHOOSH was not asked and may be alive, so nothing is switched without it");
            return Err(Rejection::new(Code::LegacyUnreachable, reason));
        }
        let not_passed_on = self.not_passed_on(&lock(&self.store));
        let differing = lock(&self.differing);
        Ok(Uncompared {
            reason: rejection.reasons.join("; "),
            differing: differing.len() as u64,
            projects: differing.keys().take(Uncompared::NAMED).cloned().collect(),
            not_passed_on,
        })
    }

    /// Keeps undelivered records from being pruned. Nothing is delivered while WHOOSH decides everything.
    pub(super) fn hold_back(&self, routing: &Routing) {
        if let Err(rejection) = self.core.hold_back(routing.decides_any()) {
            let reason = rejection.reasons.join("; ");
            tracing::error!(reason, "the last record delivered to WHOOSH cannot be kept; pruning may not wait for it");
        }
    }

    /// Number of the last switch, which an order must follow.
    fn follows(&self, order: &SignedOrder) -> Result<u64, Rejection> {
        let (number, follows) =
            (lock(&self.store).last_switch().map_or(0, |switch| switch.number), order.order.follows);
        if follows == number {
            return Ok(number);
        }
        let reason = format!("the order follows switch {follows}, and the last one is {number}");
        Err(Rejection::new(Code::OrderStale, format!("{reason}; look again, and sign a new order")))
    }

    fn check(&self, order: &SignedOrder) -> Result<(), Rejection> {
        if let Some(fault) = order.order.fault() {
            return Err(Rejection::new(Code::Schema, fault));
        }
        if !order.is_signed(&self.cluster) {
            let reason = format!(
                "signature is not an ed25519 signature over \"swoosh/migration/v1\\n\" ‖ cluster ‖ \"\\n\" ‖ JCS(order) by \
                 {} for cluster {}; the node checks it over bytes whose hash is {}",
                order.order.signer,
                self.cluster,
                Hash::of(&order.order.message(&self.cluster))
            );
            return Err(Rejection::new(Code::SignatureInvalid, reason));
        }
        self.core.may_order(&order.order.signer, order.order.hlc)
    }

    async fn must_agree(&self, routing: &Routing) -> Result<(), Rejection> {
        let differing = self.compare_all(routing).await?;
        if differing.is_empty() {
            return Ok(());
        }
        let differ =
            if differing.len() == 1 { "1 project differs" } else { &format!("{} projects differ", differing.len()) };
        let names: Vec<&str> = differing.iter().take(10).map(|project| project.as_str()).collect();
        let reason = format!(
            "{differ}, among them {}; `swoosh migration divergences` shows both sides, \
             runbooks/whoosh-cutover.md says how they come together",
            names.join(", ")
        );
        Err(Rejection::new(Code::MigrationDiverged, reason))
    }

    /// Tells WHOOSH, in order, of everything that SWOOSH holds and WHOOSH did not decide itself; how much that was.
    /// A refusal of WHOOSH is a divergence, and no reason to stop.
    pub(super) async fn pass_on(&self, routing: &Routing) -> Result<u64, Rejection> {
        let mut delivered = self.delivered.lock().await;
        let mut passed = 0;
        while *delivered < self.core.last_index() {
            let records = self.core.records_after(*delivered, PAGE)?;
            if records.is_empty() {
                break;
            }
            for passing in records {
                match passing {
                    Passing::Lost { index, reason } => {
                        self.lost(routing, index, &reason);
                        *delivered = index;
                    }
                    Passing::Record(record) => {
                        if !record.mirrored && concerns(routing, record.transition) {
                            self.deliver(routing, &record).await?;
                            passed += 1;
                            // Kept with each, so that a crash tells WHOOSH at most one of them twice.
                            self.keep_position(record.index)?;
                        }
                        *delivered = record.index;
                    }
                }
            }
            self.keep_position(*delivered)?;
        }
        Ok(passed)
    }

    async fn deliver(&self, routing: &Routing, record: &PassedOn) -> Result<(), Rejection> {
        let inputs = without_filled(&record.inputs);
        let body = serde_json::json!({"project": record.project, "transition": record.transition, "inputs": inputs});
        let header = |name: &str, value: String| (name.to_owned(), value.into_bytes());
        let headers = vec![
            header("content-type", "application/json".into()),
            header("idempotency-key", record.idem_key.to_string()),
        ];
        let call =
            Call { method: "POST".into(), target: "/transition".into(), headers, body: body.to_string().into_bytes() };
        let answer = self.send(call).await?;
        let said = || format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        match verdict(&answer) {
            Verdict::Accepted => Ok(()),
            Verdict::Refused | Verdict::NotTaken => {
                self.not_applied(routing, "WHOOSH refuses a decision of SWOOSH", said(), record);
                Ok(())
            }
            // The position stays before the record until WHOOSH has judged it.
            Verdict::Nothing => {
                let (status, index) = (answer.status, record.index);
                let reason = format!(
                    "WHOOSH answers {status} to record {index}, which must be delivered to it, and does not judge it"
                );
                Err(Rejection::new(Code::LegacyUnreachable, reason))
            }
        }
    }

    fn not_applied(&self, routing: &Routing, why: &str, whoosh: String, record: &PassedOn) {
        let found = self.finding(routing, DivergenceKind::Delivery, why);
        self.diverged(Divergence {
            project: Some(record.project.clone()),
            transition: Some(record.transition),
            whoosh,
            swoosh: format!("accepted as record {}", record.index),
            ..found
        });
    }

    /// A record that cannot be read never reaches WHOOSH, and must not keep the ones after it back.
    fn lost(&self, routing: &Routing, index: u64, reason: &str) {
        let found = self.finding(routing, DivergenceKind::Delivery, "a record cannot be delivered to WHOOSH");
        self.diverged(Divergence { swoosh: format!("record {index} cannot be read: {reason}"), ..found });
    }

    /// Keeps the index of the last delivered record: in the journal, so that pruning waits for it, and beside the
    /// switches, for a follower that takes over.
    pub(super) fn keep_position(&self, index: u64) -> Result<(), Rejection> {
        self.core.note_delivered(index)?;
        Ok(lock(&self.store).set_position(index)?)
    }
}

/// Whether WHOOSH needs all records before a switch: it will decide more, receive more, or be compared. Nothing is
/// written to it if nothing changes.
fn must_know(from: &Routing, to: &Routing) -> bool {
    let changes = from.goes_beyond(to) || to.goes_beyond(from) || to.mode == MigrationMode::Regions;
    from.decides_any() && changes
}

/// Whether a record is delivered to WHOOSH. Not of regions that it decides itself, nor starts of projects and licenses:
/// each system has its own.
fn concerns(routing: &Routing, transition: Transition) -> bool {
    let license = transition.as_str().starts_with("License_");
    wire::region(transition).is_some_and(|region| region != Region::Boot && routing.decides(region)) && !license
}
