//! Standard error, whose reader may stand still: a pipe that is full is not waited for, since sessions are to be kept
//! whether or not anybody reads about it. Lines are lost then, and counted.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

/// How long a reader may take that did not stand still before.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
const NONE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The one of this process.
static READER: Reader = Reader::new();

/// Where lines go, each in one write.
#[derive(Debug)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Held from the look to the write: nobody else of this process fills the pipe in between.
        READER.give(&mut io::stderr().lock(), line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines that were lost, once the reader goes on; each is told of once.
pub(super) fn lost() -> Option<u64> {
    READER.lost()
}

/// Whether a reader stands still, and what that has cost.
struct Reader {
    still: AtomicBool,
    lost: AtomicU64,
}

impl Reader {
    const fn new() -> Self {
        Self { still: AtomicBool::new(false), lost: AtomicU64::new(0) }
    }

    /// Writes a line if it can be taken now or soon. What is ready to be written to takes a page, and lines are shorter.
    fn give(&self, to: &mut (impl Write + AsFd), line: &[u8]) -> io::Result<usize> {
        let patience = if self.still.load(Ordering::Relaxed) { NONE } else { PATIENCE };
        let ready = poll(&mut [PollFd::new(&*to, PollFlags::OUT)], Some(&patience));
        // What cannot be looked at is written to as ever.
        let still = matches!(ready, Ok(0));
        self.still.store(still, Ordering::Relaxed);
        if still {
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            to.write_all(line)?;
        }
        Ok(line.len())
    }

    fn lost(&self) -> Option<u64> {
        let told = !self.still.load(Ordering::Relaxed);
        told.then(|| self.lost.swap(0, Ordering::Relaxed)).filter(|&lost| lost > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_reader_that_stands_still_holds_nobody_up_and_is_told_what_it_missed() {
        let (mut from, mut to) = io::pipe().unwrap();
        let reader = Reader::new();
        let mut given = 0;
        while !reader.still.load(Ordering::Relaxed) {
            given += reader.give(&mut to, &[b'x'; 1_000]).unwrap();
            assert!(given < 10_000_000, "a pipe has an end");
        }
        assert_eq!(reader.give(&mut to, b"lost\n").unwrap(), 5);
        assert_eq!(reader.lost(), None, "nobody could be told");

        let mut taken = vec![0; given - 1_000];
        from.read_exact(&mut taken).unwrap();
        reader.give(&mut to, b"on\n").unwrap();
        assert_eq!((reader.lost(), reader.lost()), (Some(2), None));
        drop(to);
        let mut rest = String::new();
        from.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "on\n");
    }
}
