//! Making a failing script short: turns are left out, in ever smaller pieces, while the same invariant still breaks.

use super::oracle::Violation;
use super::run::{Looking, Script};

/// The shortest script found that breaks the same invariant as the one given does after so many turns, when at most
/// `left` turns are lived through to find it.
pub fn shrunk(mut script: Script, turns: usize, violation: &Violation, mut left: usize) -> Script {
    // A violation in a turn needs no search behind the last turn.
    let to_the_end = turns == script.turns.len();
    script.turns.truncate(turns);
    let mut piece = script.turns.len().div_ceil(2);
    while piece > 0 && left > 0 {
        let shorter = pass(&mut script, piece, to_the_end, violation, &mut left);
        if !shorter || piece > script.turns.len() {
            piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
        }
    }
    script
}

/// Tries to leave out each piece of a length; whether any was.
fn pass(script: &mut Script, piece: usize, to_the_end: bool, violation: &Violation, left: &mut usize) -> bool {
    let (mut at, mut any) = (0, false);
    while at < script.turns.len() && *left > 0 {
        let end = (at + piece).min(script.turns.len());
        let mut shorter = script.clone();
        shorter.turns.drain(at..end);
        *left = left.saturating_sub(shorter.turns.len() + 1);
        match shorter.live(to_the_end, Looking::Closely).broke {
            Some((turns, found)) if found.invariant == violation.invariant => {
                shorter.turns.truncate(turns);
                *script = shorter;
                any = true;
            }
            _ => at = end,
        }
    }
    any
}
