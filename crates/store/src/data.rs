//! Large data on its way to its place, ahead of the log records that refer to it.
//!
//! What is written here lies in blocks that nothing durable refers to, so it may go ahead as soon as it is submitted,
//! in any order. The commit thread writes along until the data of its batch is there; a second writer keeps the disk
//! busy meanwhile: while one waits for a sync, or copies, the other writes. When there is no such data, it does what
//! else the commit thread need not wait for.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::device::BlockDevice;
use crate::wal::Piece;

/// Counts pieces, in the order in which they were put.
pub type Seq = u64;

#[derive(Debug, Default)]
pub struct Data {
    queue: Mutex<Queue>,
    /// There is something for the second writer, or it shall stop.
    put: Condvar,
    /// A piece was written, or writing failed.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Piece>,
    /// The number of the first piece that waits.
    first: Seq,
    /// What is being written now: at most one piece a writer.
    writing: Vec<Seq>,
    /// The second writer waits to be notified.
    asleep: bool,
    /// It shall see what else there is.
    chores: bool,
    stopping: bool,
    failed: bool,
}

impl Queue {
    fn take(&mut self) -> Option<(Seq, Piece)> {
        let piece = self.waiting.pop_front()?;
        let seq = self.first;
        self.first += 1;
        self.writing.push(seq);
        Some((seq, piece))
    }

    /// Whether all pieces before `end` are at their places.
    fn all_written(&self, end: Seq) -> bool {
        self.first >= end && self.writing.iter().all(|seq| *seq >= end)
    }
}

impl Data {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// Takes pieces to be written; they are there after [`Self::write_before`] of what this gives.
    pub fn put(&self, pieces: Vec<Piece>) -> Seq {
        let mut queue = self.lock();
        let wake = !pieces.is_empty() && std::mem::take(&mut queue.asleep);
        queue.waiting.extend(pieces);
        let end = queue.first + queue.waiting.len() as u64;
        drop(queue);
        if wake {
            self.put.notify_one();
        }
        end
    }

    /// Writes until all pieces before `end` are at their places.
    ///
    /// # Errors
    /// A write failed: whoever gets the error must call [`Self::fail`]. `None`: somebody did.
    pub fn write_before(&self, end: Seq, device: &dyn BlockDevice) -> Result<(), Option<io::Error>> {
        let mut queue = self.lock();
        loop {
            if queue.failed {
                return Err(None);
            }
            if queue.all_written(end) {
                return Ok(());
            }
            queue = match queue.first < end {
                true => self.write_one(queue, device).map_err(Some)?,
                false => self.written.wait(queue).unwrap_or_else(|p| p.into_inner()),
            };
        }
    }

    /// Writes the piece that waits longest. There must be one. If that fails, it counts as being written for ever.
    fn write_one<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        device: &dyn BlockDevice,
    ) -> io::Result<MutexGuard<'a, Queue>> {
        let (seq, piece) = queue.take().expect("the caller looked");
        drop(queue);
        piece.write_to(device)?;
        let mut queue = self.lock();
        queue.writing.retain(|s| *s != seq);
        self.written.notify_all();
        Ok(queue)
    }

    /// The second writer shall look what else there is to do.
    pub fn ask_for_chores(&self) {
        let mut queue = self.lock();
        queue.chores = true;
        let wake = std::mem::take(&mut queue.asleep);
        drop(queue);
        if wake {
            self.put.notify_one();
        }
    }

    /// The second writer, until [`Self::stop`]; what is not written then is left to the commit thread.
    ///
    /// # Errors
    /// As [`Self::write_before`].
    pub fn write_all(&self, device: &dyn BlockDevice, mut chores: impl FnMut()) -> io::Result<()> {
        let mut queue = self.lock();
        while !queue.stopping && !queue.failed {
            if !queue.waiting.is_empty() {
                queue = self.write_one(queue, device)?;
            } else if std::mem::take(&mut queue.chores) {
                drop(queue);
                chores();
                queue = self.lock();
            } else {
                queue.asleep = true;
                queue = self.put.wait(queue).unwrap_or_else(|p| p.into_inner());
            }
        }
        Ok(())
    }

    pub fn stop(&self) {
        self.lock().stopping = true;
        self.put.notify_all();
    }

    /// Nobody shall wait for data that will never be written.
    pub fn fail(&self) {
        self.lock().failed = true;
        self.put.notify_all();
        self.written.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::onode::BLOCK;
    use crate::sim::SimDevice;

    fn pieces(numbers: std::ops::Range<u32>) -> Vec<Piece> {
        numbers
            .map(|n| Piece { phys: n, blocks: 1, data: Bytes::from(vec![n as u8; BLOCK as usize]), cached: false })
            .collect()
    }

    #[test]
    fn one_writer_alone_writes_just_what_it_was_asked_for() {
        let (data, device) = (Data::default(), SimDevice::default());
        let first = data.put(pieces(0..3));
        assert_eq!((first, data.put(Vec::new()), data.put(pieces(3..5))), (3, 3, 5));
        data.write_before(first, &device).unwrap();
        assert_eq!(device.len(), 3 * BLOCK);
    }

    #[test]
    fn two_writers_bring_all_to_its_place() {
        let (data, device) = (Data::default(), SimDevice::default());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| data.write_all(&device, || {}));
            for i in 0..50 {
                let end = data.put(pieces(i * 4..i * 4 + 4));
                data.write_before(end, &device).unwrap();
                let mut block = [0; BLOCK as usize];
                for n in 0..end {
                    device.read_at(n * BLOCK, &mut block).unwrap();
                    assert_eq!(block, [n as u8; BLOCK as usize], "block {n} of {end}");
                }
            }
            data.stop();
            other.join().unwrap().unwrap();
        });
    }

    #[test]
    fn the_second_writer_does_chores_once_for_each_time_it_is_asked_and_data_first() {
        let (data, device) = (Data::default(), SimDevice::default());
        let end = data.put(pieces(0..2));
        data.ask_for_chores();
        let mut left = 3;
        let chores = || {
            assert!(data.lock().all_written(end));
            left -= 1;
            match left {
                0 => data.stop(),
                _ => data.ask_for_chores(),
            }
        };
        data.write_all(&device, chores).unwrap();
        assert_eq!(left, 0);
        data.lock().stopping = false;
        data.ask_for_chores();
        data.write_all(&device, || data.fail()).unwrap();
    }

    #[test]
    fn who_waits_for_the_other_writer_is_told_that_it_failed() {
        let data = Data::default();
        let end = data.put(pieces(0..1));
        let taken = data.lock().take();
        assert!(taken.is_some());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| data.write_before(end, &SimDevice::default()));
            data.fail();
            assert!(matches!(waits.join().unwrap(), Err(None)));
        });
    }
}
