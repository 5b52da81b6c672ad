//! Two messengers, the pipes between them, and a clock that nobody waits for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use msgr::{
    Action, AuthDone, AuthOutcome, AuthVerdict, Config, ConnKey, Event, LinkError, LinkKey, MODE_CRC, MessageFrame,
    Messenger, Policies, Policy,
};
use types::{EntityAddr, EntityAddrVec, EntityName};

/// What one side has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub tids: Vec<u64>,
    pub connected: Vec<(ConnKey, bool)>,
    pub resets: Vec<ConnKey>,
    pub remote_resets: Vec<ConnKey>,
    pub refused: usize,
    pub keepalive_acks: usize,
    pub dropped: Vec<LinkError>,
}

#[derive(Debug)]
struct Pipe {
    /// The link of the side that dialled, and whether that is side 1.
    dialler: usize,
    links: [LinkKey; 2],
    /// Bytes under way to side 0 and side 1.
    flying: [Vec<u8>; 2],
    /// This side has hung up; what it wrote before still arrives, then the end.
    closed: [bool; 2],
}

pub struct Pair {
    pub sides: [Messenger; 2],
    pub seen: [Seen; 2],
    pub now: Duration,
    pipes: Vec<Pipe>,
    /// Nobody listens at this side.
    pub refuse: [bool; 2],
    /// All pipes break once so many bytes have gone through; then the next number counts.
    pub cuts: Vec<usize>,
    pub moved: usize,
    /// How many bytes move at a time; 0 is everything.
    pub chunk: usize,
    /// Chooses what moves next.
    random: u64,
}

pub fn addr(side: usize) -> EntityAddrVec {
    let sock: SocketAddr = format!("127.0.0.1:{}", 6800 + side).parse().unwrap();
    EntityAddr::msgr2(sock, 7).into()
}

pub fn lossless() -> Policies {
    Policies { incoming: Policy::lossless_peer(), outgoing: Policy::lossless_peer(), by_type: Vec::new() }
}

pub fn lossy() -> Policies {
    Policies { incoming: Policy::stateless_registered_server(), outgoing: Policy::lossy_client(), by_type: Vec::new() }
}

pub fn name(side: usize) -> EntityName {
    EntityName::osd(side as i32)
}

fn messenger(side: usize, life: u64, policies: Policies) -> Messenger {
    let mut config = Config::new(name(side), &side.to_string(), addr(side), policies);
    config.seed = 1 + side as u64 + 100 * life;
    Messenger::new(config)
}

pub fn message(tid: u64) -> MessageFrame {
    MessageFrame { kind: 42, tid, front: Bytes::from(tid.to_le_bytes().to_vec()), ..Default::default() }
}

impl Pair {
    pub fn new(policies: fn() -> Policies) -> Self {
        Self {
            sides: [messenger(0, 0, policies()), messenger(1, 0, policies())],
            seen: Default::default(),
            now: Duration::from_secs(1),
            pipes: Vec::new(),
            refuse: [false; 2],
            cuts: Vec::new(),
            moved: 0,
            chunk: 0,
            random: 0,
        }
    }

    pub fn with_random(mut self, seed: u64) -> Self {
        self.random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        self
    }

    /// The process at `side` ends and another takes its address.
    pub fn restart(&mut self, side: usize, policies: fn() -> Policies) {
        self.cut();
        self.sides[side] = messenger(side, 1, policies());
        self.seen[side] = Seen::default();
    }

    pub fn send(&mut self, from: usize, tid: u64) -> ConnKey {
        let conn = self.sides[from].peer(self.now, name(1 - from), &addr(1 - from));
        self.sides[from].send(self.now, conn, message(tid));
        conn
    }

    /// Every pipe breaks; what was under way is lost.
    pub fn cut(&mut self) {
        for pipe in std::mem::take(&mut self.pipes) {
            for side in (0..2).filter(|side| !pipe.closed[*side]) {
                self.sides[side].link_lost(self.now, pipe.links[side], LinkError::Closed);
            }
        }
    }

    fn next_random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below.max(1) as u64) as usize
    }

    /// Runs for so long on the virtual clock.
    pub fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        loop {
            while self.step() {}
            let next = self.sides.iter().filter_map(Messenger::next_deadline).min();
            match next.filter(|at| *at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => {
                    self.now = end;
                    return;
                }
            }
            for side in 0..2 {
                self.sides[side].handle_timeout(self.now);
            }
        }
    }

    pub fn settle(&mut self) {
        self.run(Duration::from_secs(60));
    }

    /// Does something, if there is something to do.
    pub fn step(&mut self) -> bool {
        let mut busy = false;
        for side in 0..2 {
            busy |= self.collect(side);
        }
        let wires: Vec<(usize, usize)> = (0..self.pipes.len()).flat_map(|p| [(p, 0), (p, 1)]).collect();
        let moves = |p: &Pipe, side: usize| !p.flying[side].is_empty() || p.closed[1 - side];
        let mut ready: Vec<_> = wires.into_iter().filter(|(p, side)| moves(&self.pipes[*p], *side)).collect();
        if ready.is_empty() {
            return busy;
        }
        if self.random != 0 {
            // One wire moves, the others are late.
            let chosen = self.next_random(ready.len());
            ready = vec![ready[chosen]];
        }
        for (pipe, side) in ready {
            if pipe >= self.pipes.len() {
                return true;
            }
            self.deliver(pipe, side);
        }
        true
    }

    fn deliver(&mut self, pipe: usize, side: usize) {
        let available = self.pipes[pipe].flying[side].len();
        if available == 0 {
            let pipe = self.pipes.remove(pipe);
            return self.sides[side].link_lost(self.now, pipe.links[side], LinkError::Closed);
        }
        let mut n = if self.chunk == 0 { available } else { self.chunk.min(available) };
        if self.random != 0 {
            n = 1 + self.next_random(n);
        }
        let cut = self.cuts.first().copied().filter(|at| self.moved + n >= *at);
        if let Some(at) = cut {
            n = at - self.moved;
        }
        let bytes: Vec<u8> = self.pipes[pipe].flying[side].drain(..n).collect();
        self.moved += n;
        let link = self.pipes[pipe].links[side];
        self.sides[side].handle_bytes(self.now, link, &bytes);
        if cut.is_some() {
            self.cuts.remove(0);
            self.moved = 0;
            self.collect(side);
            self.cut();
        }
    }

    /// Takes out what a side wants to do and has to tell.
    fn collect(&mut self, side: usize) -> bool {
        let mut busy = false;
        while let Some(event) = self.sides[side].poll_event() {
            busy = true;
            self.on_event(side, event);
        }
        while let Some(action) = self.sides[side].poll_action() {
            busy = true;
            self.on_action(side, action);
        }
        let mut dirty = Vec::new();
        self.sides[side].take_dirty(&mut dirty);
        for link in dirty {
            let Some(tx) = self.sides[side].transmit(link) else { continue };
            let bytes = tx.take_all();
            if let Some(pipe) = self.pipes.iter_mut().find(|p| p.links[side] == link && !p.closed[1 - side]) {
                pipe.flying[1 - side].extend_from_slice(&bytes);
            }
        }
        busy
    }

    fn on_action(&mut self, side: usize, action: Action) {
        let other = 1 - side;
        match action {
            Action::Dial { link, .. } if self.refuse[other] => {
                self.sides[side].link_lost(self.now, link, LinkError::Refused);
            }
            Action::Dial { link, .. } => {
                let accepted = self.sides[other].accept(self.now, "127.0.0.1:40000".parse().unwrap());
                let mut links = [link; 2];
                links[other] = accepted;
                self.pipes.push(Pipe { dialler: side, links, flying: Default::default(), closed: [false; 2] });
                self.sides[side].link_up(self.now, link);
            }
            Action::Hangup { link } => {
                if let Some(pipe) = self.pipes.iter_mut().find(|p| p.links[side] == link) {
                    pipe.closed[side] = true;
                    pipe.flying[side].clear();
                    self.pipes.retain(|p| p.closed != [true; 2]);
                }
            }
        }
    }

    fn on_event(&mut self, side: usize, event: Event) {
        let seen = &mut self.seen[side];
        match event {
            Event::Message { message, .. } => seen.tids.push(message.tid),
            Event::Connected { conn, incoming, peer } => {
                assert_eq!(peer.name, name(1 - side));
                seen.connected.push((conn, incoming));
            }
            Event::Reset { conn } => seen.resets.push(conn),
            Event::RemoteReset { conn } => seen.remote_resets.push(conn),
            Event::Refused { .. } => seen.refused += 1,
            Event::KeepaliveAck { .. } => seen.keepalive_acks += 1,
            Event::Dropped { error, .. } => seen.dropped.push(error),
            Event::Auth { conn, .. } => {
                let done = AuthDone { global_id: 4, con_mode: MODE_CRC, payload: Bytes::new() };
                let outcome = AuthOutcome::default();
                self.sides[side].auth_reply(conn, AuthVerdict::Done { entity: "osd".into(), done, outcome });
            }
        }
    }

    /// How often each side dialled a socket that is still up.
    pub fn sockets(&self) -> BTreeMap<usize, usize> {
        let mut count = BTreeMap::new();
        for pipe in &self.pipes {
            *count.entry(pipe.dialler).or_default() += 1;
        }
        count
    }
}
