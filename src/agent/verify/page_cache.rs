//! How much of a part of a file is in the page cache?

#![expect(
    unsafe_code,
    reason = "mincore(2) is the one question that does not itself read, and no crate asks it safely"
)]

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ptr;

/// Pages in the page cache and pages in all, of the `length` bytes at `start`, which is a multiple of the page size.
///
/// A read that must not wait (`RWF_NOWAIT`) is no way to ask: it starts reading, and when the device is quick it answers.
/// Of a file that the caller neither owns nor may write to the kernel says that all of it is there.
///
/// # Errors
/// What mmap(2) or mincore(2) said, such as of a file system without a page cache.
pub fn resident(file: &File, start: u64, length: NonZeroUsize) -> io::Result<(usize, usize)> {
    let length = length.get();
    let mut pages = vec![0_u8; length.div_ceil(page_size())];
    // SAFETY: The kernel chooses an address that nothing has, so no memory of ours is replaced. The mapping may not be read
    // or written (`PROT_NONE`) and its address does not leave this function: what others do to the file touches no
    // reference here.
    let address = unsafe { mmap(ptr::null_mut(), length, ProtFlags::empty(), MapFlags::SHARED, file, start)? };
    // SAFETY: `address` is the mapping of `length` bytes made above, and `pages` has the byte for each of its pages that
    // mincore(2) writes.
    let asked = unsafe { libc::mincore(address, length, pages.as_mut_ptr()) };
    let answer = if asked == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: Only this function knows the mapping, and it is done with it.
    unsafe { munmap(address, length)? };
    // Only the lowest bit says something, says mincore(2).
    answer.map(|()| (pages.iter().filter(|page| **page & 1 == 1).count(), pages.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Advice, fadvise};
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    #[test]
    fn asking_brings_nothing_in_and_sees_what_a_read_brought_in() {
        let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let mut file = tempfile::tempfile_in(target).unwrap();
        let length = NonZeroUsize::new(64 * page_size() + 1).unwrap();
        file.write_all(&vec![7; length.get()]).unwrap();
        file.sync_all().unwrap();
        assert_eq!(resident(&file, 0, length).unwrap(), (65, 65));
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        fadvise(&file, 0, None, Advice::Random).unwrap();
        for _ in 0..3 {
            assert_eq!(resident(&file, 0, length).unwrap(), (0, 65));
        }
        file.read_at(&mut [0], 10 * page_size() as u64).unwrap();
        assert_eq!(resident(&file, 0, length).unwrap(), (1, 65));
        assert_eq!(resident(&file, 11 * page_size() as u64, NonZeroUsize::MIN).unwrap(), (0, 1));
    }
}
