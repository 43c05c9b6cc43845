//! What of a stream is of use after a loss: a piece whose beginning is lost is not, and neither is
//! the rest of a picture whose header is.

/// What a packet begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Begins {
    /// The middle of something.
    Nothing,
    /// A part that can be decoded by itself: a group of blocks, a slice.
    Part,
    /// A picture.
    Picture,
}

/// Follows a stream.
#[derive(Debug)]
pub(super) struct Continuity {
    last: Option<(u16, u32)>,
    /// What must come before anything is of use again.
    needs: Begins,
}

impl Default for Continuity {
    fn default() -> Self {
        Self {
            last: None,
            needs: Begins::Picture,
        }
    }
}

impl Continuity {
    /// Takes the number and the time of the next packet, and what it begins with; whether it is of
    /// use.
    pub(super) fn admits(&mut self, sequence: u16, timestamp: u32, begins: Begins) -> bool {
        let (follows, same_picture) = match self.last {
            Some((before, time)) => (before.wrapping_add(1) == sequence, time == timestamp),
            None => (false, false),
        };
        self.last = Some((sequence, timestamp));
        if !same_picture {
            // Without its header a picture would be drawn into the one before.
            self.needs = Begins::Picture;
        } else if !follows {
            self.needs = self.needs.max(Begins::Part);
        }
        if begins < self.needs {
            return false;
        }
        self.needs = Begins::Nothing;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Begins::{Nothing, Part, Picture},
        *,
    };

    #[test]
    fn what_lost_its_beginning_is_of_no_use() {
        for (story, packets) in [
            (
                "a whole stream",
                &[
                    (1, 1, Picture, true),
                    (2, 1, Nothing, true),
                    (3, 2, Picture, true),
                ][..],
            ),
            (
                "from the middle",
                &[
                    (1, 1, Nothing, false),
                    (2, 1, Part, false),
                    (3, 2, Picture, true),
                ],
            ),
            (
                "a part is lost",
                &[
                    (1, 1, Picture, true),
                    (3, 1, Nothing, false),
                    (4, 1, Part, true),
                    (5, 1, Nothing, true),
                ],
            ),
            (
                "a picture's header is lost",
                &[
                    (1, 1, Picture, true),
                    (3, 2, Part, false),
                    (4, 2, Part, false),
                    (6, 3, Picture, true),
                ],
            ),
        ] {
            let mut continuity = Continuity::default();
            for (sequence, time, begins, want) in packets {
                let have = continuity.admits(*sequence, *time, *begins);
                assert_eq!(have, *want, "{story}: {sequence}");
            }
        }
    }
}
