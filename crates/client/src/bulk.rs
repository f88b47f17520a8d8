//! Many signed proposals in one request.

use serde_json::Value;

use super::Client;
use super::link::Reply;
use super::propose::{Accepted, Prepared, ProposeError, Step};
use super::read::is_passing_status;
use super::retry::{self, Cause};

/// Most proposals of a request.
const AT_ONCE: usize = 256;
/// Most bytes of a request with more than one proposal, below the node's own bound at its default.
const BODY_BYTES: usize = 1 << 20;

/// Receives the answer to each proposal, with its place in the list.
pub type Answers<'a> = dyn FnMut(usize, Result<Accepted, ProposeError>) + Send + 'a;

/// Proposals that are posted together, by their places.
struct Round<'a> {
    all: &'a [Prepared],
    open: Vec<usize>,
    attempt: u32,
}

impl Client {
    /// Posts signed proposals in their order, up to 256 in a request. The node answers each as if it was posted alone: a refused one
    /// stops none of the others. Those that find the node busy or silent are posted again, the same bytes. An error ends it where
    /// the node refuses a whole request; those that have no answer by then may be posted again.
    pub async fn submit_all(&self, all: &[Prepared], answers: &mut Answers<'_>) -> Result<(), ProposeError> {
        let mut next = 0;
        while next < all.len() {
            let end = end_of_request(all, next);
            self.submit_request(Round { all, open: (next..end).collect(), attempt: 0 }, answers).await?;
            next = end;
        }
        Ok(())
    }

    async fn submit_request(&self, mut round: Round<'_>, answers: &mut Answers<'_>) -> Result<(), ProposeError> {
        let mut waited_ms = 0;
        loop {
            round.attempt += 1;
            let Some(cause) = self.post_round(&mut round, answers).await? else { return Ok(()) };
            let Some(wait_ms) = self.retry.wait_ms(round.attempt, waited_ms, &cause, self.pressure()) else {
                for place in round.open {
                    let key = Some(round.all[place].signed().proposal.idem_key.clone());
                    let cause = Box::new(cause.clone());
                    answers(place, Err(ProposeError::GaveUp { attempts: round.attempt, cause, key }));
                }
                return Ok(());
            };
            waited_ms += wait_ms;
            retry::sleep(wait_ms).await;
        }
    }

    /// Posts those that have no answer; why some of them have none still.
    async fn post_round(
        &self,
        round: &mut Round<'_>,
        answers: &mut Answers<'_>,
    ) -> Result<Option<Cause>, ProposeError> {
        let mut body = Vec::new();
        for &place in &round.open {
            body.extend_from_slice(round.all[place].body());
            body.push(b'\n');
        }
        let url = self.link.url(&["transitions"], &[]);
        let reply = match self.link.post_lines(url.clone(), body).await {
            Ok(reply) => reply,
            Err(error) if error.is_passing() => {
                self.link.turn_from(&url);
                return Ok(Some(Cause::Unanswered(error)));
            }
            Err(error) => return Err(ProposeError::Link(error)),
        };
        if reply.status != 200 {
            return self.refused(reply).map(Some);
        }
        let steps = self.steps(round, &reply)?;
        let (mut cause, mut open) = (None, Vec::new());
        for (place, step) in steps {
            match step {
                Step::Done(done) => {
                    let (receipt, body, replayed) = *done;
                    answers(place, Ok(Accepted { receipt, body, replayed, attempts: round.attempt }));
                }
                Step::Failed(error) => answers(place, Err(error)),
                Step::Again(why) => {
                    open.push(place);
                    cause = Some(why);
                }
            }
        }
        round.open = open;
        Ok(cause)
    }

    /// A request that was refused as a whole: why it may be sent again.
    fn refused(&self, reply: Reply) -> Result<Cause, ProposeError> {
        let problem = self.problem(&reply);
        if is_passing_status(reply.status) {
            let retry_after_ms = problem.as_ref().and_then(|problem| problem.retry_after_ms).or(reply.retry_after_ms);
            return Ok(Cause::Busy { status: reply.status, retry_after_ms, problem });
        }
        Err(problem.map_or_else(|| self.unexpected(&reply, reply.excerpt()), ProposeError::Rejected))
    }

    /// The answer to each, as of a proposal that was posted alone.
    fn steps(&self, round: &Round<'_>, reply: &Reply) -> Result<Vec<(usize, Step)>, ProposeError> {
        let lines: Vec<&[u8]> =
            reply.body.strip_suffix(b"\n").unwrap_or(&reply.body).split(|&byte| byte == b'\n').collect();
        if lines.len() != round.open.len() {
            let found = format!("{} answers to {} proposals", lines.len(), round.open.len());
            return Err(self.unexpected(reply, found));
        }
        let step = |(&place, line): (&usize, &&[u8])| {
            let alone = alone(line).map_err(|error| self.unexpected(reply, error.to_string()))?;
            Ok((place, self.judge(&round.all[place], None, alone)))
        };
        round.open.iter().zip(&lines).map(step).collect()
    }
}

/// The answer of a line as it would have come alone.
fn alone(line: &[u8]) -> Result<Reply, serde_json::Error> {
    let answer: Value = serde_json::from_slice(line)?;
    let status = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
    let document = if status == 202 { &answer["receipt"] } else { &answer["problem"] };
    let replayed = answer["replayed"].as_bool().unwrap_or_default();
    Ok(Reply { status, retry_after_ms: None, replayed, body: serde_json::to_vec(document)? })
}

/// The end of the request that begins with this proposal.
fn end_of_request(all: &[Prepared], begin: usize) -> usize {
    let mut bytes = 0;
    let fits = |prepared: &&Prepared| {
        bytes += prepared.body().len() + 1;
        bytes <= BODY_BYTES
    };
    let count = all[begin..].iter().take(AT_ONCE).take_while(fits).count();
    begin + count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::hash::Hash;
    use swoosh_types::json::Json;
    use swoosh_types::keys::SecretKey;
    use swoosh_types::names::Transition;
    use swoosh_types::proposal::Proposal;

    fn prepared(bytes: usize) -> Prepared {
        let key = SecretKey::from_bytes(&[1; 32]);
        let inputs = Json::parse(format!("{{\"rationale\":\"{}\"}}", "x".repeat(bytes)).as_bytes()).unwrap();
        let proposal = Proposal {
            project: None,
            current_state_hash: Hash::ZERO,
            transition: Transition::ControlPause,
            inputs_hash: Hash::of(&inputs.canonical()),
            inputs,
            signer: key.public(),
            idem_key: "goal:1:control:uuid-00000001".parse().unwrap(),
            hlc: "2025-10-19T00:00:00.000+00:00#0".parse().unwrap(),
            window_id: None,
            evidence: vec![],
        };
        Prepared::of(proposal.sign(&"c".parse().unwrap(), &key)).unwrap()
    }

    #[test]
    fn a_request_has_as_many_proposals_as_the_node_takes() {
        let small: Vec<_> = (0..300).map(|_| prepared(10)).collect();
        assert_eq!((end_of_request(&small, 0), end_of_request(&small, 256)), (256, 300));
        let large: Vec<_> = (0..4).map(|_| prepared(400 << 10)).collect();
        assert_eq!((end_of_request(&large, 0), end_of_request(&large, 2)), (2, 4));
        assert_eq!(end_of_request(&[prepared(2 << 20)], 0), 1, "the node says that it is too large");
    }
}
