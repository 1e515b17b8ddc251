//! The push message.

use std::sync::Arc;

use metrifold_model::{
    Annotations, Descriptor, DescriptorHash, Epoch, Exemplar, Incarnation, Kind, Labels, Namespace, Presence,
    Seq, Values, Worker, limits,
};
use metrifold_session::{DescriptorPart, Payload, Push};
use prost::Message;

use crate::{WireError, v1};

/// A push as a message for `namespace`.
pub fn request(namespace: &Namespace, push: &Push) -> v1::PushRequest {
    let payload = match &push.payload {
        Payload::Hello => v1::push_request::Payload::Hello(v1::Hello {}),
        Payload::Unchanged => v1::push_request::Payload::Unchanged(v1::Unchanged {}),
        Payload::Values(values) => v1::push_request::Payload::Values(values_message(values)),
    };
    v1::PushRequest {
        namespace: namespace.as_str().to_owned(),
        incarnation: push.incarnation.0,
        seq: push.seq.0,
        acked: push.acked.0,
        epoch: push.epoch.map_or(0, |epoch| epoch.0),
        worker: Some(v1::Worker {
            instance: push.worker.instance.clone(),
            process: push.worker.process.clone(),
            labels: label_messages(&push.worker.labels),
        }),
        descriptors: Some(v1::DescriptorPart {
            from: u32::try_from(push.descriptors.from).unwrap_or(u32::MAX),
            from_hash: push.descriptors.from_hash.0,
            entries: push.descriptors.entries.iter().map(|entry| descriptor_message(entry)).collect(),
            hash: push.descriptors.hash.0,
        }),
        payload: Some(payload),
        base: push.base.as_ref().map(values_message),
        ended: push.ended,
    }
}

/// Whether a message is short enough for a collector ([`limits::PUSH_BYTES_MAX`]).
pub fn fits(message: &v1::PushRequest) -> bool {
    message.encoded_len() <= limits::PUSH_BYTES_MAX
}

/// Reads a push; `default` is the namespace of a message that names none. Lengths and contents are checked by
/// [`Push::check`], which every store runs.
pub fn parse_request(message: v1::PushRequest, default: &Namespace) -> Result<(Namespace, Push), WireError> {
    let namespace = match message.namespace.as_str() {
        "" => default.clone(),
        _ => Namespace::new(message.namespace)?,
    };
    if message.seq == 0 {
        return Err(WireError::OutOfRange { field: "seq", given: 0, allowed: "1 and above" });
    }
    let worker = message.worker.ok_or(WireError::Missing { field: "worker" })?;
    let descriptors = message.descriptors.ok_or(WireError::Missing { field: "descriptors" })?;
    let payload = match message.payload.ok_or(WireError::Missing { field: "payload" })? {
        v1::push_request::Payload::Hello(_) => Payload::Hello,
        v1::push_request::Payload::Unchanged(_) => Payload::Unchanged,
        v1::push_request::Payload::Values(values) => {
            Payload::Values(parse_values(values, "values.slots", "values.timestamps")?)
        }
    };
    let base = message.base.map(|base| parse_values(base, "base.slots", "base.timestamps")).transpose()?;
    let push = Push {
        incarnation: Incarnation(message.incarnation),
        seq: Seq(message.seq),
        acked: Seq(message.acked),
        epoch: (message.epoch != 0).then_some(Epoch(message.epoch)),
        worker: Arc::new(Worker {
            instance: worker.instance,
            process: worker.process,
            labels: parse_labels(worker.labels),
        }),
        descriptors: parse_descriptors(descriptors)?,
        payload,
        base,
        ended: message.ended,
    };
    Ok((namespace, push))
}

fn values_message(values: &Values) -> v1::Values {
    let annotations = &values.annotations;
    let since = annotations.created.iter().copied().filter(|created| *created > 0).min().unwrap_or(0);
    let place = |slot: &usize| u32::try_from(*slot).unwrap_or(u32::MAX);
    v1::Values {
        slots: column_bytes(&values.slots),
        timestamps: column_bytes(&values.timestamps),
        created_since: since,
        created: annotations
            .created
            .iter()
            .map(|time| time.checked_sub(since).map_or(0, |after| after.saturating_add(1)))
            .collect(),
        presence: annotations
            .presence
            .iter()
            .map(|(slot, presence)| presence_message(place(slot), *presence))
            .collect(),
        exemplars: annotations
            .exemplars
            .iter()
            .map(|(slot, exemplar)| exemplar_message(place(slot), exemplar))
            .collect(),
    }
}

fn presence_message(slot: u32, presence: Presence) -> v1::Presence {
    let (is_removed, at) = match presence {
        Presence::Shown(since) => (false, since),
        Presence::Removed(at) => (true, at),
    };
    v1::Presence { slot, is_removed, at }
}

fn exemplar_message(slot: u32, exemplar: &Exemplar) -> v1::Exemplar {
    let labels = label_messages(&exemplar.labels);
    v1::Exemplar { slot, labels, value: exemplar.value, timestamp: exemplar.timestamp }
}

fn column_bytes(column: &[f64]) -> Vec<u8> {
    column.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn parse_values(
    message: v1::Values,
    slots: &'static str,
    timestamps: &'static str,
) -> Result<Values, WireError> {
    Ok(Values {
        slots: parse_column(&message.slots, slots)?,
        timestamps: parse_column(&message.timestamps, timestamps)?,
        annotations: parse_annotations(message),
    })
}

/// Of too many exemplars the first are taken: none of them is worth the push.
fn parse_annotations(message: v1::Values) -> Annotations {
    let since = message.created_since;
    let created = |after: u64| after.checked_sub(1).map_or(0, |after| since.saturating_add(after));
    let presence = |message: v1::Presence| match message.is_removed {
        true => (message.slot as usize, Presence::Removed(message.at)),
        false => (message.slot as usize, Presence::Shown(message.at)),
    };
    let exemplars = message.exemplars.into_iter().take(limits::EXEMPLARS_PER_SOURCE_MAX);
    Annotations {
        created: message.created.into_iter().map(created).collect(),
        presence: message.presence.into_iter().map(presence).collect(),
        exemplars: exemplars.map(parse_exemplar).collect(),
    }
}

fn parse_exemplar(message: v1::Exemplar) -> (usize, Arc<Exemplar>) {
    let labels = parse_labels(message.labels);
    let exemplar = Exemplar { labels, value: message.value, timestamp: message.timestamp };
    (message.slot as usize, Arc::new(exemplar))
}

fn parse_column(bytes: &[u8], field: &'static str) -> Result<Vec<f64>, WireError> {
    let (values, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(WireError::Column { field, given: bytes.len() });
    }
    Ok(values.iter().map(|value| f64::from_le_bytes(*value)).collect())
}

fn label_messages(labels: &Labels) -> Vec<v1::Label> {
    labels.iter().map(|(name, value)| v1::Label { name: name.to_owned(), value: value.to_owned() }).collect()
}

fn parse_labels(labels: Vec<v1::Label>) -> Labels {
    Labels::new(labels.into_iter().map(|label| (label.name, label.value)))
}

fn descriptor_message(descriptor: &Descriptor) -> v1::Descriptor {
    v1::Descriptor {
        // 0 is "unspecified" in protobuf, so that a forgotten kind does not pass for a counter.
        kind: i32::from(descriptor.kind.code()) + 1,
        family: descriptor.family.clone(),
        sample: descriptor.sample.clone(),
        labels: label_messages(&descriptor.labels),
        help: descriptor.help.clone(),
        per_worker: descriptor.per_worker,
        unit: descriptor.unit.clone(),
    }
}

fn parse_descriptors(message: v1::DescriptorPart) -> Result<DescriptorPart, WireError> {
    let from = message.from as usize;
    if from > limits::SLOTS_PER_SOURCE_MAX {
        return Err(WireError::OutOfRange {
            field: "descriptors.from",
            given: u64::from(message.from),
            allowed: "0 to slots_per_source_max",
        });
    }
    Ok(DescriptorPart {
        from,
        from_hash: DescriptorHash(message.from_hash),
        entries: message.entries.into_iter().map(parse_descriptor).collect::<Result<_, _>>()?,
        hash: DescriptorHash(message.hash),
    })
}

fn parse_descriptor(message: v1::Descriptor) -> Result<Arc<Descriptor>, WireError> {
    let code = message.kind.checked_sub(1).and_then(|code| u8::try_from(code).ok());
    let kind = code.and_then(Kind::from_code).ok_or(WireError::OutOfRange {
        field: "descriptors.entries.kind",
        given: u64::from(message.kind.unsigned_abs()),
        allowed: "1 to 15",
    })?;
    Ok(Arc::new(Descriptor {
        kind,
        family: message.family,
        sample: message.sample,
        labels: parse_labels(message.labels),
        help: message.help,
        per_worker: message.per_worker,
        unit: message.unit,
    }))
}
