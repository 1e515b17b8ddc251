//! The answers to a push.

use metrifold_model::{Epoch, Seq};
use metrifold_session::{Answer, Refusal};

use crate::{
    WireError,
    v1::{self, push_response::Answer as Message},
};

/// What came back for a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The store's answer.
    Answer(Answer),
    /// The store did not answer the collector; whether the push was stored is unknown. Send it again.
    Unavailable {
        /// The collector's reason, for a log.
        reason: String,
    },
}

/// The message that answers push `seq`.
pub fn response(seq: Seq, answer: Answer) -> v1::PushResponse {
    let message = match answer {
        Answer::Ok { epoch } => Message::Ok(v1::Ok { epoch: epoch.0 }),
        Answer::Sealed => Message::Sealed(v1::Sealed {}),
        Answer::Behind { known } => Message::Behind(v1::Behind { known: known.0 }),
        Answer::Expired => Message::Expired(v1::Expired {}),
        Answer::NeedDescriptors => Message::NeedDescriptors(v1::NeedDescriptors {}),
        Answer::NeedValues => Message::NeedValues(v1::NeedValues {}),
        Answer::Refused(refusal) => {
            let code = Refusal::ALL.iter().position(|other| *other == refusal).map_or(0, |place| place + 1);
            let code = i32::try_from(code).unwrap_or_default();
            Message::Refused(v1::Refused { code, message: refusal.to_string() })
        }
    };
    v1::PushResponse { seq: seq.0, answer: Some(message) }
}

/// The message that says that the store behind the collector did not answer.
pub fn unavailable(seq: Seq, reason: String) -> v1::PushResponse {
    v1::PushResponse { seq: seq.0, answer: Some(Message::Unavailable(v1::Unavailable { reason })) }
}

/// Reads an answer and the number of the push that it answers.
pub fn parse_response(message: v1::PushResponse) -> Result<(Seq, Reply), WireError> {
    let seq = Seq(message.seq);
    let answer = match message.answer.ok_or(WireError::Missing { field: "answer" })? {
        Message::Ok(ok) if ok.epoch == 0 => {
            return Err(WireError::OutOfRange { field: "ok.epoch", given: 0, allowed: "1 and above" });
        }
        Message::Ok(ok) => Answer::Ok { epoch: Epoch(ok.epoch) },
        Message::Sealed(_) => Answer::Sealed,
        Message::Behind(behind) => Answer::Behind { known: Seq(behind.known) },
        Message::Expired(_) => Answer::Expired,
        Message::NeedDescriptors(_) => Answer::NeedDescriptors,
        Message::NeedValues(_) => Answer::NeedValues,
        Message::Refused(refused) => Answer::Refused(refusal(refused.code)?),
        Message::Unavailable(unavailable) => {
            return Ok((seq, Reply::Unavailable { reason: unavailable.reason }));
        }
    };
    Ok((seq, Reply::Answer(answer)))
}

fn refusal(code: i32) -> Result<Refusal, WireError> {
    let place = code.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    place.and_then(|place| Refusal::ALL.get(place).copied()).ok_or(WireError::OutOfRange {
        field: "refused.code",
        given: u64::from(code.unsigned_abs()),
        allowed: "1 to 11",
    })
}
