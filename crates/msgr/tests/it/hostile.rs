//! Peers that misbehave: each way has its error, and costs no memory.

use std::time::Duration;

use bytes::Bytes;
use msgr::{
    AuthBadMethod, AuthRequest, Codec, Config, Control, Event, Frame, FrameReader, Hello, Limits, LinkError, Messenger,
    ProtocolError, Tag, TxQueue, open_message, put_frame,
};
use types::{EntityAddr, crc32c};

use crate::golden::unhex;
use crate::pair::{addr, lossy, name};

const BANNER: &[u8] = b"ceph v2\n\x10\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// What a server makes of these bytes.
fn outcome(bytes: &[u8]) -> Option<ProtocolError> {
    let mut m = Messenger::new(Config::new(name(0), "0", addr(0), lossy()));
    let link = m.accept(Duration::ZERO, "127.0.0.1:9".parse().unwrap());
    m.handle_bytes(Duration::ZERO, link, bytes);
    std::iter::from_fn(|| m.poll_event()).find_map(|event| match event {
        Event::Dropped { error: LinkError::Protocol(error), .. } => Some(error),
        _ => None,
    })
}

fn preamble(tag: u8, count: u8, lens: [u32; 4]) -> Vec<u8> {
    let mut p = vec![tag, count];
    for len in lens {
        p.extend(len.to_le_bytes());
        p.extend([8, 0]);
    }
    p.extend([0, 0]);
    p.extend(crc32c(0, &p).to_le_bytes());
    p
}

fn after_banner(rest: &[u8]) -> Vec<u8> {
    [BANNER, rest].concat()
}

fn frame(tag: Tag, payload: &[u8]) -> Vec<u8> {
    let mut tx = TxQueue::default();
    let e = Bytes::new();
    put_frame(&mut tx, Codec::CrcRev1, tag, payload, [&e, &e, &e]);
    tx.take_all().to_vec()
}

#[test]
fn each_misbehaviour_has_its_name() {
    let hello =
        frame(Tag::Hello, &Control::Hello(Hello { entity_type: 8, peer_addr: EntityAddr::default() }).payload());
    let cases: Vec<(Vec<u8>, ProtocolError)> = vec![
        (b"GET / HTTP/1.1\r\n".to_vec(), ProtocolError::Banner),
        (b"ceph v027\0\0".to_vec(), ProtocolError::BannerV1),
        (b"ceph v2\n\x01\x00x".to_vec(), ProtocolError::BannerLength { len: 1 }),
        ([&BANNER[..18], &[2, 0, 0, 0, 0, 0, 0, 0]].concat(), ProtocolError::BannerFeatures { required: 2, ours: 1 }),
        (after_banner(&[0xff; 32]), ProtocolError::PreambleCrc),
        (after_banner(&preamble(99, 1, [4, 0, 0, 0])), ProtocolError::UnknownTag(99)),
        (after_banner(&preamble(17, 5, [4, 0, 0, 0])), ProtocolError::SegmentCount(5)),
        (after_banner(&preamble(17, 0, [4, 0, 0, 0])), ProtocolError::SegmentCount(0)),
        (after_banner(&preamble(1, 2, [4, 4, 0, 0])), ProtocolError::ControlSegments(Tag::Hello)),
        (after_banner(&preamble(17, 2, [41, 0, 0, 0])), ProtocolError::LastSegmentEmpty),
        (
            after_banner(&preamble(17, 4, [41, 4, 0, u32::MAX])),
            ProtocolError::SegmentTooLong { tag: Tag::Message, index: 1, len: 4, max: 0 },
        ),
        (
            after_banner(&[&hello[..hello.len() - 1], &[!hello[hello.len() - 1]]].concat()),
            ProtocolError::SegmentCrc { tag: Tag::Hello, index: 0 },
        ),
        (
            after_banner(&frame(Tag::Message, &[0; 41])),
            ProtocolError::Unexpected { tag: Tag::Message, phase: "expecting the hello" },
        ),
        (
            after_banner(&[hello.clone(), hello.clone()].concat()),
            ProtocolError::Unexpected { tag: Tag::Hello, phase: "authenticating" },
        ),
        (
            after_banner(&[hello, frame(Tag::AuthRequestMore, &[0; 4])].concat()),
            ProtocolError::Unexpected { tag: Tag::AuthRequestMore, phase: "authenticating" },
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(outcome(&bytes), Some(error));
    }
    let mut open = FrameReader::new(Limits::default());
    open.extend(&preamble(17, 4, [41, 4, 0, u32::MAX]));
    let too_long = ProtocolError::SegmentTooLong { tag: Tag::Message, index: 3, len: u32::MAX, max: 512 << 20 };
    assert_eq!(open.next_frame().unwrap_err(), too_long);
    let short = outcome(&after_banner(&frame(Tag::Hello, &[1])));
    assert!(matches!(short, Some(ProtocolError::Decode { tag: Tag::Hello, .. })));
}

#[test]
fn a_peer_of_msgr_2_0_is_answered_in_its_own_frames() {
    let mut m = Messenger::new(Config::new(name(0), "0", addr(0), lossy()));
    let link = m.accept(Duration::ZERO, "127.0.0.1:9".parse().unwrap());
    let hello = Control::Hello(Hello { entity_type: 8, peer_addr: EntityAddr::default() });
    let request = Control::AuthRequest(AuthRequest { method: 1, preferred_modes: vec![1], payload: Bytes::new() });
    let mut tx = TxQueue::default();
    tx.put(&BANNER[..10]);
    tx.put(&[0; 16]);
    for control in [&hello, &request] {
        let e = Bytes::new();
        put_frame(&mut tx, Codec::CrcRev0, control.tag(), &control.payload(), [&e, &e, &e]);
    }
    m.handle_bytes(Duration::ZERO, link, &tx.take_all());
    assert!(matches!(m.poll_event(), Some(Event::Auth { method: 1, .. })));
    let mut reader = FrameReader::new(Limits::default());
    reader.set_codec(Codec::CrcRev0);
    reader.extend(&m.transmit(link).unwrap().take_all()[BANNER.len()..]);
    assert_eq!(reader.next_frame().unwrap().unwrap().tag, Tag::Hello);
}

#[test]
fn a_client_that_wants_all_encrypted_is_refused_and_may_ask_for_less() {
    let mut m = Messenger::new(Config::new(name(0), "0", addr(0), lossy()));
    let link = m.accept(Duration::ZERO, "127.0.0.1:9".parse().unwrap());
    let say = |control: &Control| frame(control.tag(), &control.payload());
    let ask =
        |preferred_modes| say(&Control::AuthRequest(AuthRequest { method: 1, preferred_modes, payload: Bytes::new() }));
    let hello = say(&Control::Hello(Hello { entity_type: 8, peer_addr: EntityAddr::default() }));
    m.handle_bytes(Duration::ZERO, link, &after_banner(&[hello, ask(vec![2])].concat()));
    assert!(m.poll_event().is_none(), "the core is not asked");
    let mut reader = FrameReader::new(Limits::default());
    reader.extend(&m.transmit(link).unwrap().take_all()[BANNER.len()..]);
    assert_eq!(reader.next_frame().unwrap().unwrap().tag, Tag::Hello);
    let refusal = Control::open(reader.next_frame().unwrap().unwrap()).unwrap();
    let AuthBadMethod { result, allowed_modes, .. } = match refusal {
        Control::AuthBadMethod(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!((result, allowed_modes), (-95, vec![1]));
    m.handle_bytes(Duration::ZERO, link, &ask(vec![2, 1]));
    assert!(matches!(m.poll_event(), Some(Event::Auth { method: 1, .. })));
}

#[test]
fn a_truncated_frame_is_waited_for_and_ends_with_the_handshake_deadline() {
    let mut m = Messenger::new(Config::new(name(0), "0", addr(0), lossy()));
    let link = m.accept(Duration::ZERO, "127.0.0.1:9".parse().unwrap());
    m.handle_bytes(Duration::ZERO, link, &after_banner(&preamble(1, 1, [40, 0, 0, 0])));
    assert!(m.poll_event().is_none());
    m.handle_timeout(m.next_deadline().unwrap());
    let dropped = m.poll_event();
    assert!(matches!(dropped, Some(Event::Dropped { error: LinkError::HandshakeTimeout(10), .. })));
}

#[test]
fn an_announced_length_reserves_no_more_than_a_few_mebibytes() {
    let mut reader = FrameReader::new(Limits::default());
    reader.extend(&preamble(17, 4, [41, 100 << 20, 0, 512 << 20]));
    assert!(reader.next_frame().unwrap().is_none());
    assert!(reader.recv_buf().capacity() <= 8 << 20);
}

#[test]
fn an_aborted_frame_is_skipped() {
    let mut tx = TxQueue::default();
    let (e, data) = (Bytes::new(), Bytes::from(vec![0; 100]));
    put_frame(&mut tx, Codec::CrcRev1, Tag::Message, &[1; 41], [&data, &e, &e]);
    let mut aborted = tx.take_all().to_vec();
    let status = aborted.len() - 13;
    aborted[status] = 0x01;
    let mut reader = FrameReader::new(Limits::default());
    reader.extend(&aborted);
    assert!(reader.next_frame().unwrap().is_none());
    assert_eq!(reader.buffered(), 0);
    aborted[status] = 0x07;
    reader.extend(&aborted);
    let error = reader.next_frame().unwrap_err();
    assert_eq!(error, ProtocolError::LateStatus { tag: Tag::Message, status: 7 });
}

/// Recorded frames with bytes changed at random, their checksums made right again: decoding gives a
/// value or an error, and never panics.
#[test]
fn damaged_frames_never_panic() {
    let lines: Vec<&str> = include_str!("../../testdata/frames.txt").lines().filter(|l| !l.starts_with('#')).collect();
    let mut random = 0x1234_5678_9abc_def1u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    let (mut good, mut bad) = (0, 0);
    for _ in 0..40_000 {
        let mut parts = lines[next() % lines.len()].split(' ');
        let tag: u8 = parts.next().unwrap().parse().unwrap();
        let mut segment = unhex(parts.next().unwrap()).to_vec();
        for _ in 0..=next() % 3 {
            if segment.is_empty() {
                break;
            }
            let at = next() % segment.len();
            match next() % 3 {
                0 => segment[at] = next() as u8,
                1 => segment.truncate(at),
                _ => segment.insert(at, next() as u8),
            }
        }
        let mut tx = TxQueue::default();
        let e = Bytes::new();
        let tag = if tag == 17 { Tag::Message } else { Tag::ClientIdent };
        put_frame(&mut tx, Codec::CrcRev1, tag, &segment, [&e, &e, &e]);
        let mut reader = FrameReader::new(Limits::default());
        reader.extend(&tx.take_all());
        let frame: Frame = reader.next_frame().unwrap().unwrap();
        let ok = match frame.tag {
            Tag::Message => open_message(frame).is_ok(),
            _ => Control::open(frame).is_ok(),
        };
        *(if ok { &mut good } else { &mut bad }) += 1;
    }
    assert!(good > 1000 && bad > 1000);
}
