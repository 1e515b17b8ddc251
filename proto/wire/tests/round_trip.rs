//! Whatever is sent is received; whatever is not ours is refused by field; the bytes stay the bytes.

use std::sync::Arc;

use metrifold_model::{
    Annotations, Descriptor, DescriptorList, Epoch, Exemplar, Incarnation, Kind, Labels, Namespace, Presence,
    Seq, Values, Worker,
};
use metrifold_session::{Answer, DescriptorPart, Payload, Push, Refusal};
use metrifold_wire::{Reply, WireError, parse_request, parse_response, request, response, unavailable, v1};
use proptest::prelude::*;
use prost::Message;

fn sample() -> Push {
    let descriptors: DescriptorList = [Descriptor::new(
        Kind::Counter,
        "req",
        "req_total",
        Labels::new([("code", "200")]),
        "Requests \u{e9}",
    )]
    .into_iter()
    .collect();
    Push {
        incarnation: Incarnation(0x0102),
        seq: Seq(3),
        acked: Seq(2),
        epoch: Some(Epoch(9)),
        worker: Arc::new(Worker {
            instance: "web-1".into(),
            process: "42".into(),
            labels: Labels::new([("zone", "a")]),
        }),
        descriptors: DescriptorPart::after(&descriptors, 0),
        payload: Payload::Values(Values::from_slots(vec![1.5])),
        base: None,
        ended: true,
    }
}

/// An old collector must read what a new worker sends, and the other way round.
#[test]
fn the_bytes_of_a_push_stay_the_bytes() {
    let bytes = request(&Namespace::new("shop").expect("allowed"), &sample()).encode_to_vec();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden/push.hex").trim(), "golden bytes are added, never edited");
}

#[test]
fn every_answer_comes_back_as_it_was() {
    let answers = [
        Answer::Ok { epoch: Epoch(5) },
        Answer::Sealed,
        Answer::Behind { known: Seq(8) },
        Answer::Expired,
        Answer::NeedDescriptors,
        Answer::NeedValues,
    ];
    for answer in answers.into_iter().chain(Refusal::ALL.map(Answer::Refused)) {
        assert_eq!(parse_response(response(Seq(4), answer)), Ok((Seq(4), Reply::Answer(answer))));
    }
    let reply = parse_response(unavailable(Seq(4), "down".into()));
    assert_eq!(reply, Ok((Seq(4), Reply::Unavailable { reason: "down".into() })));
}

#[test]
fn a_bad_message_is_refused_by_field() {
    let good = request(&Namespace::default(), &sample());
    let refused = |change: fn(&mut v1::PushRequest)| {
        let mut message = good.clone();
        change(&mut message);
        parse_request(message, &Namespace::default()).expect_err("must be refused").to_string()
    };
    assert!(refused(|message| message.seq = 0).starts_with("field seq is 0"));
    assert_eq!(refused(|message| message.worker = None), "field worker is missing");
    assert_eq!(refused(|message| message.payload = None), "field payload is missing");
    assert!(refused(|message| message.namespace = "a/b".into()).contains("a/b"));
    let odd = |message: &mut v1::PushRequest| {
        message.base = Some(v1::Values { slots: vec![0; 7], ..v1::Values::default() });
    };
    assert!(refused(odd).contains("base.slots has 7 bytes"));
    let unknown_kind = |message: &mut v1::PushRequest| {
        if let Some(part) = &mut message.descriptors {
            part.entries[0].kind = 16;
        }
    };
    assert_eq!(
        refused(unknown_kind),
        WireError::OutOfRange { field: "descriptors.entries.kind", given: 16, allowed: "1 to 15" }
            .to_string()
    );
}

#[test]
fn an_empty_namespace_means_the_servers_default() {
    let mut message = request(&Namespace::default(), &sample());
    message.namespace.clear();
    let default = Namespace::new("shop").expect("allowed");
    assert_eq!(parse_request(message, &default).expect("good").0, default);
}

/// Protobuf does not tell −0 from 0 here, which no exemplar needs.
fn annotations() -> impl Strategy<Value = Annotations> {
    let created = proptest::collection::vec(prop_oneof![Just(0), 1u64..u64::MAX], 0..5);
    let presence = (any::<bool>(), any::<u64>()).prop_map(|(is_removed, at)| match is_removed {
        true => Presence::Removed(at),
        false => Presence::Shown(at),
    });
    let exemplar = ("\\PC{0,9}", any::<f64>(), any::<f64>()).prop_map(|(id, value, timestamp)| {
        let labels = Labels::new([("trace_id", id)]);
        Arc::new(Exemplar { labels, value: value + 0.0, timestamp: timestamp + 0.0 })
    });
    let presence = proptest::collection::btree_map(0usize..50, presence, 0..3);
    (created, presence, proptest::collection::btree_map(0usize..50, exemplar, 0..3))
        .prop_map(|(created, presence, exemplars)| Annotations { created, presence, exemplars })
}

fn any_push() -> impl Strategy<Value = Push> {
    let descriptor =
        (0u8..15, "[a-z]{1,8}", "\\PC{0,12}", any::<bool>()).prop_map(|(code, name, text, per_worker)| {
            Descriptor {
                per_worker,
                unit: if per_worker { text.clone() } else { String::new() },
                ..Descriptor::new(
                    Kind::from_code(code).expect("below 15"),
                    name.clone(),
                    name,
                    Labels::new([("label", text.clone())]),
                    text,
                )
            }
        });
    let values = || {
        let columns =
            (proptest::collection::vec(any::<f64>(), 0..5), proptest::collection::vec(any::<f64>(), 0..3));
        (columns, annotations()).prop_map(|((slots, timestamps), annotations)| Values {
            slots,
            timestamps,
            annotations,
        })
    };
    let payload =
        prop_oneof![Just(Payload::Hello), Just(Payload::Unchanged), values().prop_map(Payload::Values),];
    let base = proptest::option::of(values());
    (
        (any::<u64>(), 1..u64::MAX, any::<u64>(), proptest::option::of(1..u64::MAX)),
        proptest::collection::vec(descriptor, 0..5),
        0usize..5,
        payload,
        base,
        any::<bool>(),
    )
        .prop_map(|((incarnation, seq, acked, epoch), descriptors, from, payload, base, ended)| Push {
            incarnation: Incarnation(incarnation),
            seq: Seq(seq),
            acked: Seq(acked),
            epoch: epoch.map(Epoch),
            worker: Arc::new(Worker::default()),
            descriptors: DescriptorPart::after(&descriptors.into_iter().collect(), from),
            payload,
            base,
            ended,
        })
}

proptest! {
    #[test]
    fn whatever_is_sent_is_received(push in any_push()) {
        let bytes = request(&Namespace::default(), &push).encode_to_vec();
        let message = v1::PushRequest::decode(bytes.as_slice()).expect("our own bytes");
        let (_, received) = parse_request(message, &Namespace::default()).expect("our own message");
        prop_assert_eq!(received, push);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = v1::PushRequest::decode(bytes.as_slice()) {
            let _ = parse_request(message, &Namespace::default());
        }
        if let Ok(message) = v1::PushResponse::decode(bytes.as_slice()) {
            let _ = parse_response(message);
        }
    }
}
