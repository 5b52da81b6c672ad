//! Frames that real Ceph sent: read, checked, written again to the same bytes.

use bytes::Bytes;
use msgr::{Codec, Control, Frame, FrameReader, Limits, Tag, TxQueue, open_message, put_frame, put_message};

const FRAMES: &str = include_str!("../../testdata/frames.txt");
/// All that a real monitor sent on one connection: its banner, and frames with their checksums.
const MON_STREAM: &str = include_str!("../../testdata/mon-stream.hex");

pub fn unhex(text: &str) -> Bytes {
    let text = text.trim();
    if text == "-" {
        return Bytes::new();
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
}

fn read_back(tx: &mut TxQueue, codec: Codec) -> Frame {
    let mut reader = FrameReader::new(Limits::default());
    reader.set_codec(codec);
    reader.extend(&tx.take_all());
    let frame = reader.next_frame().expect("our own frame").expect("whole");
    assert_eq!(reader.buffered(), 0);
    frame
}

#[test]
fn recorded_control_frames_are_written_as_they_were_read() {
    let mut seen = 0;
    for line in FRAMES.lines().filter(|l| !l.starts_with('#') && !l.starts_with("17 ")) {
        let (tag, payload) = line.split_once(' ').expect("tag and payload");
        let payload = unhex(payload);
        for codec in [Codec::CrcRev0, Codec::CrcRev1] {
            let empty = Bytes::new();
            let mut tx = TxQueue::default();
            put_frame(&mut tx, codec, tag_of(tag.parse().unwrap()), &payload, [&empty, &empty, &empty]);
            let control = Control::open(read_back(&mut tx, codec)).expect(line);
            assert_eq!(control.payload(), payload, "{control:?}");
        }
        seen += 1;
    }
    assert!(seen > 100);
}

fn tag_of(code: u8) -> Tag {
    use Tag::*;
    [
        Hello,
        AuthRequest,
        AuthBadMethod,
        AuthReplyMore,
        AuthRequestMore,
        AuthDone,
        AuthSignature,
        ClientIdent,
        ServerIdent,
        IdentMissingFeatures,
        SessionReconnect,
        SessionReset,
        SessionRetry,
        SessionRetryGlobal,
        SessionReconnectOk,
        Wait,
        Message,
        Keepalive2,
        Keepalive2Ack,
        Ack,
    ][usize::from(code) - 1]
}

#[test]
fn recorded_messages_are_written_as_they_were_read() {
    let mut seen = 0;
    for line in FRAMES.lines().filter(|l| l.starts_with("17 ")) {
        let parts: Vec<Bytes> = line.split(' ').skip(1).map(unhex).collect();
        let [header, front, middle, data] = &parts[..] else { panic!("{line}") };
        for codec in [Codec::CrcRev0, Codec::CrcRev1] {
            let mut tx = TxQueue::default();
            put_frame(&mut tx, codec, Tag::Message, header, [front, middle, data]);
            let received = open_message(read_back(&mut tx, codec)).unwrap();
            let m = &received.message;
            assert_eq!((&m.front, &m.middle, &m.data), (front, middle, data));
            put_message(&mut tx, codec, m, received.seq, received.ack_seq);
            assert_eq!(read_back(&mut tx, codec).segments[0], header);
        }
        seen += 1;
    }
    assert!(seen > 40);
}

#[test]
fn the_stream_of_a_real_monitor_is_read_and_written_to_the_same_bytes() {
    let stream = unhex(&MON_STREAM.split_whitespace().collect::<String>());
    let banner = 8 + 2 + 16;
    let mut reader = FrameReader::new(Limits::default());
    // Byte by byte: a frame is there exactly when its last byte is.
    let mut tx = TxQueue::default();
    let mut tags = Vec::new();
    for byte in &stream[banner..] {
        reader.extend(&[*byte]);
        while let Some(frame) = reader.next_frame().expect("real frames are in order") {
            tags.push(frame.tag);
            let [head, rest @ ..] = &frame.segments;
            put_frame(&mut tx, Codec::CrcRev1, frame.tag, head, [&rest[0], &rest[1], &rest[2]]);
        }
    }
    assert_eq!(tx.take_all(), stream.slice(banner..));
    assert_eq!(tags[..4], [Tag::Hello, Tag::AuthDone, Tag::AuthSignature, Tag::ServerIdent]);
    assert!(tags.contains(&Tag::Message));
}
