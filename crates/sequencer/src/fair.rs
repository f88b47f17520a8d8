//! A queue that serves its projects in turn: a flood of one project delays only that project.

use std::collections::{BTreeMap, VecDeque};

use swoosh_types::keys::PublicKey;
use swoosh_types::text::ProjectName;

/// Why something is not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The queue holds as much as it may.
    Queue,
    /// As much of it as one project may have is of this project; how much that is.
    Project(usize),
    /// As much of it as one signer may have is of this signer; how much that is.
    Signer(usize),
}

/// Bounded in all, for each project and for each signer. Items of one project keep their order.
pub(super) struct FairQueue<T> {
    projects: BTreeMap<ProjectName, VecDeque<(PublicKey, T)>>,
    /// Projects that wait for their turn, each once.
    turns: VecDeque<ProjectName>,
    signers: BTreeMap<PublicKey, usize>,
    length: usize,
    capacity: usize,
    project_capacity: usize,
    /// How much of one project's share may be of one signer.
    project_signer_capacity: usize,
}

impl<T> FairQueue<T> {
    /// A queue for `capacity` things, `project_capacity` of them of one project, half of them of one signer.
    pub fn new(capacity: usize, project_capacity: usize) -> FairQueue<T> {
        FairQueue {
            projects: BTreeMap::new(),
            turns: VecDeque::new(),
            signers: BTreeMap::new(),
            length: 0,
            capacity,
            project_capacity,
            project_signer_capacity: project_capacity,
        }
    }

    /// The same, where one signer gets half of a project's share as well.
    pub fn shared_by_signers(self) -> FairQueue<T> {
        FairQueue { project_signer_capacity: self.project_capacity.div_ceil(2), ..self }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn push(&mut self, project: ProjectName, signer: PublicKey, value: T) -> Result<(), Full> {
        let of_signer = self.capacity.div_ceil(2);
        if self.length >= self.capacity {
            return Err(Full::Queue);
        }
        if self.projects.get(&project).is_some_and(|waiting| waiting.len() >= self.project_capacity) {
            return Err(Full::Project(self.project_capacity));
        }
        let most = self.project_signer_capacity;
        let here = |waiting: &VecDeque<(PublicKey, T)>| waiting.iter().filter(|(of, _)| *of == signer).count();
        if most < self.project_capacity && self.projects.get(&project).is_some_and(|waiting| here(waiting) >= most) {
            return Err(Full::Signer(most));
        }
        if self.signers.get(&signer).is_some_and(|count| *count >= of_signer) {
            return Err(Full::Signer(of_signer));
        }
        self.length += 1;
        *self.signers.entry(signer).or_default() += 1;
        let waiting = self.projects.entry(project.clone()).or_default();
        if waiting.is_empty() {
            self.turns.push_back(project);
        }
        waiting.push_back((signer, value));
        Ok(())
    }

    /// The first of the project whose turn it is, which then waits behind the others.
    pub fn pop(&mut self) -> Option<T> {
        let project = self.turns.pop_front()?;
        let waiting = self.projects.get_mut(&project)?;
        let (signer, value) = waiting.pop_front()?;
        if waiting.is_empty() {
            self.projects.remove(&project);
        } else {
            self.turns.push_back(project);
        }
        self.length -= 1;
        self.forget(signer);
        Some(value)
    }

    fn forget(&mut self, signer: PublicKey) {
        if let Some(count) = self.signers.get_mut(&signer) {
            *count -= 1;
            if *count == 0 {
                self.signers.remove(&signer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> ProjectName {
        name.parse().unwrap()
    }

    fn key(n: u8) -> PublicKey {
        PublicKey::from_bytes([n; 32])
    }

    fn all(queue: &mut FairQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn projects_are_served_in_turn_and_each_in_its_order() {
        let mut queue = FairQueue::new(100, 100);
        (0..5).for_each(|n| queue.push(project("hot"), key(1), n).unwrap());
        queue.push(project("calm"), key(2), 10).unwrap();
        queue.push(project("calm"), key(2), 11).unwrap();
        queue.push(project("late"), key(3), 20).unwrap();
        assert_eq!(queue.len(), 8);
        assert_eq!(all(&mut queue), [0, 10, 20, 1, 11, 2, 3, 4]);
        assert!(queue.is_empty() && queue.projects.is_empty() && queue.signers.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_full_project_leaves_the_others_their_room() {
        let mut queue = FairQueue::new(10, 2);
        queue.push(project("hot"), key(1), 0).unwrap();
        queue.push(project("hot"), key(1), 1).unwrap();
        assert_eq!(queue.push(project("hot"), key(2), 2), Err(Full::Project(2)));
        queue.push(project("calm"), key(2), 3).unwrap();
        queue.pop();
        assert_eq!(queue.push(project("hot"), key(2), 4), Ok(()));
    }

    #[test]
    fn one_signer_gets_half_of_the_queue_whatever_projects_it_names() {
        let mut queue = FairQueue::new(4, 4);
        (0..2).for_each(|n| queue.push(project(&format!("p{n}")), key(1), n).unwrap());
        assert_eq!(queue.push(project("p2"), key(1), 2), Err(Full::Signer(2)));
        (2..4).for_each(|n| queue.push(project(&format!("p{n}")), key(n as u8), n).unwrap());
        assert_eq!(queue.push(project("p9"), key(9), 9), Err(Full::Queue));
    }

    /// One signer filled a project's urgent places, and the operator who would have revoked its key got no room.
    #[test]
    fn one_signer_leaves_others_half_of_a_project_s_urgent_places() {
        let mut queue = FairQueue::new(100, 4).shared_by_signers();
        (0..2).for_each(|n| queue.push(project("p"), key(1), n).unwrap());
        assert_eq!(queue.push(project("p"), key(1), 2), Err(Full::Signer(2)));
        queue.push(project("q"), key(1), 3).unwrap();
        (4..6).for_each(|n| queue.push(project("p"), key(2), n).unwrap());
        assert_eq!(queue.push(project("p"), key(3), 6), Err(Full::Project(4)));
        let mut narrow = FairQueue::new(10, 1).shared_by_signers();
        assert_eq!(narrow.push(project("p"), key(1), 0), Ok(()));
    }

    #[test]
    fn even_a_queue_of_one_takes_one() {
        let mut queue = FairQueue::new(1, 1);
        assert_eq!(queue.push(project("p"), key(1), 0), Ok(()));
        assert_eq!(queue.push(project("q"), key(2), 1), Err(Full::Queue));
    }
}
