//! Messages after the handshake.

use serde::{Deserialize, Serialize};
use swoosh_types::canonical::{from_canonical, try_canonical_bytes};
use swoosh_types::cluster::{Ballot, Position};
use swoosh_types::hash::Hash;

use super::frame::{Draft, parts};
use super::rows::{AppendForm, Blobs, blob_bytes, push_blobs, read_append};
use super::{WIRE_VERSION, WireError};
use crate::messages::{Append, Appended, Reply, Request, TransferRefusal, TransferRequest, VoteReply, VoteRequest};
use crate::ports::PeerError;

/// What one frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Control connection. `id` names the request in its reply; replies come in any order.
    Request {
        id: u64,
        request: Request,
    },
    Reply {
        id: u64,
        outcome: Outcome<Reply>,
    },
    /// Log connection. The answers come in the order of the appends.
    Append(Append),
    Appended(Outcome<Appended>),
    /// Bulk connection: the beginning of a state, its parts in order, its end, and the receiver's vote after it.
    State {
        ballot: Ballot,
    },
    Part(Vec<u8>),
    /// `hash` links the parts: sha256 of the hash before and the part, from 32 zero bytes.
    StateEnd {
        parts: u64,
        bytes: u64,
        hash: Hash,
    },
    StateTaken(Outcome<Ballot>),
    /// The dialer of an idle connection is alive. No answer.
    Alive,
    /// The sender closes this connection.
    Close {
        why: String,
    },
}

/// An answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome<T> {
    Done(T),
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Failure {
    /// The member is there and cannot answer now.
    Unavailable { why: String },
    /// The member does not take the rows up to `last`.
    Refused { last: Position, why: String },
}

impl From<Failure> for PeerError {
    fn from(failure: Failure) -> PeerError {
        match failure {
            Failure::Unavailable { why } => PeerError::Unreachable(why),
            Failure::Refused { last, why } => PeerError::Refused { last, why },
        }
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Failure {
        match error {
            PeerError::Unreachable(why) => Failure::Unavailable { why },
            PeerError::Refused { last, why } => Failure::Refused { last, why },
        }
    }
}

impl<T> From<Result<T, PeerError>> for Outcome<T> {
    fn from(result: Result<T, PeerError>) -> Outcome<T> {
        match result {
            Ok(answer) => Outcome::Done(answer),
            Err(error) => Outcome::Failed(error.into()),
        }
    }
}

impl<T> From<Outcome<T>> for Result<T, PeerError> {
    fn from(outcome: Outcome<T>) -> Result<T, PeerError> {
        match outcome {
            Outcome::Done(answer) => Ok(answer),
            Outcome::Failed(failure) => Err(failure.into()),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Header {
    Request { id: u64, request: RequestForm },
    Reply { id: u64, outcome: Outcome<ReplyForm> },
    Append(AppendForm),
    Appended(Outcome<Appended>),
    State { ballot: Ballot },
    Part { bytes: u32 },
    StateEnd { parts: u64, bytes: u64, hash: Hash },
    StateTaken(Outcome<Ballot>),
    Alive,
    Close { why: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum RequestForm {
    Append(AppendForm),
    Vote(VoteRequest),
    PreVote(VoteRequest),
    Transfer(TransferRequest),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ReplyForm {
    Append(Appended),
    Vote(VoteReply),
    PreVote(VoteReply),
    Transfer(TransferForm),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum TransferForm {
    Accepted,
    Refused(TransferRefusal),
}

/// The whole frame of a message. Fails where it is over a bound, or where a number is over 2^53 − 1.
pub fn encode(message: &Message) -> Result<Vec<u8>, WireError> {
    let (append, part) = match message {
        Message::Append(append) | Message::Request { request: Request::Append(append), .. } => (Some(append), None),
        Message::Part(part) => (None, Some(part)),
        _ => (None, None),
    };
    let header = try_canonical_bytes(&header(message))?;
    let blobs = append.map_or(0, blob_bytes) + part.map_or(0, Vec::len);
    let mut draft = Draft::new(WIRE_VERSION, &header, blobs)?;
    if let Some(append) = append {
        push_blobs(append, &mut draft);
    }
    if let Some(part) = part {
        draft.push(part);
    }
    Ok(draft.finish())
}

/// The message of a whole frame. Each message has one frame: what is decoded encodes to the same bytes.
pub fn decode(frame: &[u8]) -> Result<Message, WireError> {
    let parts = parts(frame, WIRE_VERSION)?;
    let header: Header = from_canonical(parts.header)?;
    if try_canonical_bytes(&header)? != parts.header {
        return Err(WireError::NotCanonical);
    }
    let mut blobs = Blobs(parts.blobs);
    let message = read(header, &mut blobs)?;
    blobs.finish()?;
    Ok(message)
}

fn header(message: &Message) -> Header {
    match message {
        Message::Request { id, request } => Header::Request { id: *id, request: request_form(request) },
        Message::Reply { id, outcome } => Header::Reply { id: *id, outcome: reply_form(outcome) },
        Message::Append(append) => Header::Append(append.into()),
        Message::Appended(outcome) => Header::Appended(outcome.clone()),
        Message::State { ballot } => Header::State { ballot: *ballot },
        Message::Part(part) => Header::Part { bytes: u32::try_from(part.len()).unwrap_or(u32::MAX) },
        Message::StateEnd { parts, bytes, hash } => Header::StateEnd { parts: *parts, bytes: *bytes, hash: *hash },
        Message::StateTaken(outcome) => Header::StateTaken(outcome.clone()),
        Message::Alive => Header::Alive,
        Message::Close { why } => Header::Close { why: why.clone() },
    }
}

fn request_form(request: &Request) -> RequestForm {
    match request {
        Request::Append(append) => RequestForm::Append(append.into()),
        Request::Vote(vote) => RequestForm::Vote(*vote),
        Request::PreVote(vote) => RequestForm::PreVote(*vote),
        Request::Transfer(transfer) => RequestForm::Transfer(*transfer),
    }
}

fn reply_form(outcome: &Outcome<Reply>) -> Outcome<ReplyForm> {
    let reply = match outcome {
        Outcome::Done(reply) => reply,
        Outcome::Failed(failure) => return Outcome::Failed(failure.clone()),
    };
    Outcome::Done(match reply {
        Reply::Append(appended) => ReplyForm::Append(appended.clone()),
        Reply::Vote(reply) => ReplyForm::Vote(*reply),
        Reply::PreVote(reply) => ReplyForm::PreVote(*reply),
        Reply::Transfer(Ok(())) => ReplyForm::Transfer(TransferForm::Accepted),
        Reply::Transfer(Err(refusal)) => ReplyForm::Transfer(TransferForm::Refused(*refusal)),
    })
}

fn read(header: Header, blobs: &mut Blobs<'_>) -> Result<Message, WireError> {
    Ok(match header {
        Header::Request { id, request } => Message::Request { id, request: read_request(request, blobs)? },
        Header::Reply { id, outcome } => Message::Reply { id, outcome: read_reply(outcome) },
        Header::Append(append) => Message::Append(read_append(append, blobs)?),
        Header::Appended(outcome) => Message::Appended(outcome),
        Header::State { ballot } => Message::State { ballot },
        Header::Part { bytes } => Message::Part(blobs.take(bytes)?),
        Header::StateEnd { parts, bytes, hash } => Message::StateEnd { parts, bytes, hash },
        Header::StateTaken(outcome) => Message::StateTaken(outcome),
        Header::Alive => Message::Alive,
        Header::Close { why } => Message::Close { why },
    })
}

fn read_request(form: RequestForm, blobs: &mut Blobs<'_>) -> Result<Request, WireError> {
    Ok(match form {
        RequestForm::Append(append) => Request::Append(read_append(append, blobs)?),
        RequestForm::Vote(vote) => Request::Vote(vote),
        RequestForm::PreVote(vote) => Request::PreVote(vote),
        RequestForm::Transfer(transfer) => Request::Transfer(transfer),
    })
}

fn read_reply(outcome: Outcome<ReplyForm>) -> Outcome<Reply> {
    let form = match outcome {
        Outcome::Done(form) => form,
        Outcome::Failed(failure) => return Outcome::Failed(failure),
    };
    Outcome::Done(match form {
        ReplyForm::Append(appended) => Reply::Append(appended),
        ReplyForm::Vote(reply) => Reply::Vote(reply),
        ReplyForm::PreVote(reply) => Reply::PreVote(reply),
        ReplyForm::Transfer(TransferForm::Accepted) => Reply::Transfer(Ok(())),
        ReplyForm::Transfer(TransferForm::Refused(refusal)) => Reply::Transfer(Err(refusal)),
    })
}
