//! What a roll promises, and how patient it is.

use std::time::Duration;

/// What a roll promises while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many there are to be.
    pub desired: usize,
    /// How many of them may be away at one time.
    pub max_unavailable: usize,
    /// How many more than desired may run at one time.
    pub max_surge: usize,
    /// How many slots stay available at every instant. Without it, those of the smallest of the
    /// workers that stay, as the first look shows them; a roll that is continued is told it.
    pub slots_floor: Option<usize>,
    /// How many are replaced at one time.
    pub batch: usize,
    /// How the new ones are named: this, and their number.
    pub prefix: String,
    /// How patient it is.
    pub patience: Patience,
}

/// How long each part of a replacement may take. What takes longer ends the roll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the order to start a new one until it takes sessions.
    pub start: Duration,
    /// A new one's first session.
    pub probe: Duration,
    /// From the order to take no sessions until the last has ended.
    pub drain: Duration,
    /// From the order to stop until it is gone.
    pub stop: Duration,
    /// After this an order is given again that could not be delivered.
    pub retry: Duration,
    /// How long one must be missing to be gone, and how long a roll looks before it begins: what one
    /// that was interrupted has started or stopped is to be seen, or has ended, by then.
    pub settle: Duration,
}

/// Why a plan cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// There is nothing to keep available.
    #[error("there is nothing to roll: none runs, and no number of replicas is given")]
    Nothing,
    /// Neither may one be away nor one more run.
    #[error(
        "with no unavailable and no surge nothing can be replaced: allow one of either \
         (max-unavailable 1, or max-surge 1)"
    )]
    NoRoom,
    /// All may be away at once.
    #[error("max-unavailable is {0} of {1}: all of them could be away at one time")]
    AllAway(usize, usize),
    /// Nothing at a time.
    #[error("a batch is 1 or more")]
    NoBatch,
}

impl Plan {
    /// Whether it can be kept and can end.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), InvalidPlan> {
        match self {
            Self { desired: 0, .. } => Err(InvalidPlan::Nothing),
            Self { batch: 0, .. } => Err(InvalidPlan::NoBatch),
            Self { max_unavailable: 0, max_surge: 0, .. } => Err(InvalidPlan::NoRoom),
            // The only one there is cannot be replaced in place otherwise.
            Self { desired: n @ 2.., max_unavailable: away, .. } if away >= n => {
                Err(InvalidPlan::AllAway(*away, *n))
            }
            _ => Ok(()),
        }
    }

    /// How many are available at every instant.
    pub fn floor(&self) -> usize {
        self.desired.saturating_sub(self.max_unavailable)
    }

    /// How many run at most.
    pub fn ceiling(&self) -> usize {
        self.desired + self.max_surge
    }
}
