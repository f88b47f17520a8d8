//! Records that were changed on their way from the node.

use std::io::{Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use swoosh::types::names::Region;

use super::{catches_up, folder};
use crate::support::daemon::Site;
use crate::support::driver::Project;

/// A guard's reason, the same for every proposal. The record's chain value covers it; no signature or receipt does.
const SAID: &[u8] = b"the signature is the signer's";
const BENT: &[u8] = b"the signature is anybody's...";

/// A wire that puts one text in the place of another on its way from a node.
fn bending(node: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for caller in listener.incoming().map_while(Result::ok) {
            let node = TcpStream::connect(node).unwrap();
            let (mut asks, mut asked) = (caller.try_clone().unwrap(), node.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut asks, &mut asked));
            thread::spawn(move || bend(node, caller));
        }
    });
    address
}

fn bend(mut node: TcpStream, mut caller: TcpStream) -> Result<()> {
    let (mut held, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = node.read(&mut piece)?;
        if read == 0 {
            caller.write_all(&held)?;
            return caller.shutdown(std::net::Shutdown::Write);
        }
        held.extend_from_slice(&piece[..read]);
        while let Some(at) = held.windows(SAID.len()).position(|part| part == SAID) {
            held[at..at + SAID.len()].copy_from_slice(BENT);
        }
        // The rest of the text may come with the next piece.
        let begun = (0..SAID.len()).rev().find(|begun| held.ends_with(&SAID[..*begun])).unwrap_or(0);
        let sure = held.len() - begun;
        caller.write_all(&held[..sure])?;
        held.drain(..sure);
    }
}

#[test]
fn a_record_that_was_changed_on_its_way_is_refused_and_nothing_of_it_is_kept() {
    let (site, data) = (Site::new(), folder());
    let follower = data.path().join("follower");
    let node = site.start();
    Project::new(&site, "one").drive(&node, Region::Boot, "LICENSED");
    let (code, said) = match site.follow(bending(node.address), &follower) {
        Err(ended) => ended,
        Ok(running) => {
            let (status, log) = running.wait();
            (status.code(), log.join("\n"))
        }
    };
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("record 1 does not follow the one before it: its link should be"), "{said}");
    // Over a wire that bends nothing the same directory goes on from its beginning.
    catches_up(&site.follow(node.address, &follower).unwrap(), &node);
}
