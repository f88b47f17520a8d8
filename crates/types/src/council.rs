//! Documents that council members sign, shared by the guards and the client: votes and rotation proofs.

use std::collections::{BTreeMap, BTreeSet};

use super::canonical::{CanonicalError, canonical_bytes, canonical_hash, try_canonical_bytes};
use super::hash::Hash;
use super::inputs::{Members, RoleSpec, RotationBody, Vote, VoteBody};
use super::keys::{self, PublicKey, SecretKey, Signature, domain};
use super::text::{Capability, ClusterId, Name, ProjectName};

/// The member set that every agent computes alike from the council section of a state.
///
/// For each role, candidates are ranked by how many of its capabilities they have, then by sha256(seed ‖ key). Roles are filled in
/// the order in which they are given, which is that of their names; a candidate holds at most one.
pub fn rank<'a>(
    seed: &Hash,
    roles: impl IntoIterator<Item = (&'a Name, &'a RoleSpec)>,
    candidates: impl IntoIterator<Item = (&'a PublicKey, &'a BTreeSet<Capability>)>,
    electorate: &BTreeSet<PublicKey>,
) -> Members {
    let eligible: Vec<_> = candidates.into_iter().filter(|(key, _)| electorate.contains(key)).collect();
    let mut members = Members::new();
    for (role, spec) in roles {
        let free = eligible.iter().copied().filter(|(key, _)| !members.contains_key(key));
        let elected = best(seed, spec, free);
        members.extend(elected.into_iter().map(|key| (key, role.clone())));
    }
    members
}

fn best<'a>(
    seed: &Hash,
    spec: &RoleSpec,
    candidates: impl Iterator<Item = (&'a PublicKey, &'a BTreeSet<Capability>)>,
) -> Vec<PublicKey> {
    // Misses first, so that the best candidate sorts to the front.
    let rank = |(key, capabilities): (&PublicKey, &BTreeSet<Capability>)| {
        let misses = spec.capabilities.difference(capabilities).count();
        ((misses, Hash::of_parts([seed.as_bytes().as_slice(), key.as_bytes()])), *key)
    };
    let ranked: BTreeMap<_, _> = candidates.map(rank).collect();
    let seats = usize::try_from(spec.seats).unwrap_or(usize::MAX);
    ranked.into_values().take(seats).collect()
}

/// The hash that votes are signed over and that `Execution_AllReady` names: sha256 of the canonical
/// bytes of the members.
pub fn member_set_hash(members: &Members) -> Hash {
    canonical_hash(members)
}

impl VoteBody {
    /// A vote for a member set, in one council epoch of one project.
    pub fn new(project: &ProjectName, council_epoch: u64, members: &Members) -> VoteBody {
        VoteBody { project: project.clone(), council_epoch, member_set_hash: member_set_hash(members) }
    }

    /// The bytes that are signed; none when the epoch, which may be a server's word, is over 2^53−1.
    pub fn message(&self, cluster: &ClusterId) -> Result<Vec<u8>, CanonicalError> {
        Ok(keys::message(domain::VOTE, cluster, &try_canonical_bytes(self)?))
    }

    pub fn sign(&self, cluster: &ClusterId, key: &SecretKey) -> Result<Vote, CanonicalError> {
        Ok(Vote { voter: key.public(), signature: key.sign(&self.message(cluster)?) })
    }

    /// Whether the vote is its voter's signature over this body.
    pub fn verify(&self, cluster: &ClusterId, vote: &Vote) -> bool {
        self.message(cluster).is_ok_and(|message| vote.voter.verify(&message, &vote.signature))
    }
}

/// One candidate's vote for a member set (docs/design.md#quorum). `council_epoch` is the council region's
/// epoch in the state that the certificate will be proposed on.
pub fn vote(
    cluster: &ClusterId,
    project: &ProjectName,
    council_epoch: u64,
    members: &Members,
    key: &SecretKey,
) -> Result<Vote, CanonicalError> {
    VoteBody::new(project, council_epoch, members).sign(cluster, key)
}

impl RotationBody {
    /// The bytes that are signed.
    pub fn message(&self, cluster: &ClusterId) -> Vec<u8> {
        keys::message(domain::ROTATION, cluster, &canonical_bytes(self))
    }

    /// Whether the proof is the new key's signature over this body.
    pub fn verify(&self, cluster: &ClusterId, proof: &Signature) -> bool {
        self.new.verify(&self.message(cluster), proof)
    }
}

/// The proof of `Boot_IdentityRotated`: the new key's signature that its holder takes over the old one's
/// identity in this project.
pub fn rotation_proof(cluster: &ClusterId, project: &ProjectName, old: &PublicKey, new: &SecretKey) -> Signature {
    let body = RotationBody { project: project.clone(), old: *old, new: new.public() };
    new.sign(&body.message(cluster))
}

/// Whether a rotation proof is `new`'s agreement to take over from `old` in this project.
pub fn verify_rotation(
    cluster: &ClusterId,
    project: &ProjectName,
    old: &PublicKey,
    new: &PublicKey,
    proof: &Signature,
) -> bool {
    RotationBody { project: project.clone(), old: *old, new: *new }.verify(cluster, proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(keys: &[&SecretKey]) -> Members {
        keys.iter().map(|key| (key.public(), "lead".parse().unwrap())).collect()
    }

    #[test]
    fn a_vote_counts_for_its_cluster_project_epoch_and_members_only() {
        let (cluster, project): (ClusterId, ProjectName) = ("c".parse().unwrap(), "default".parse().unwrap());
        let (a, b) = (SecretKey::from_bytes(&[1; 32]), SecretKey::from_bytes(&[2; 32]));
        let elected = members(&[&a, &b]);
        let cast = vote(&cluster, &project, 7, &elected, &a).unwrap();
        assert!(vote(&cluster, &project, 1 << 53, &elected, &a).is_err());
        assert!(!VoteBody::new(&project, 1 << 53, &elected).verify(&cluster, &cast));
        let body = VoteBody::new(&project, 7, &elected);
        assert_eq!(cast.voter, a.public());
        assert!(body.verify(&cluster, &cast));
        assert!(!body.verify(&"d".parse().unwrap(), &cast));
        assert!(!VoteBody::new(&"other".parse().unwrap(), 7, &elected).verify(&cluster, &cast));
        assert!(!VoteBody::new(&project, 8, &elected).verify(&cluster, &cast));
        assert!(!VoteBody::new(&project, 7, &members(&[&a])).verify(&cluster, &cast));
        assert!(!body.verify(&cluster, &Vote { voter: b.public(), ..cast }));
    }

    #[test]
    fn the_member_set_hash_follows_keys_and_roles() {
        let (a, b) = (SecretKey::from_bytes(&[1; 32]), SecretKey::from_bytes(&[2; 32]));
        assert_eq!(member_set_hash(&members(&[&a, &b])), member_set_hash(&members(&[&b, &a])));
        let other_role: Members = [(a.public(), "scribe".parse().unwrap())].into();
        assert_ne!(member_set_hash(&members(&[&a])), member_set_hash(&other_role));
    }

    #[test]
    fn a_rotation_is_proven_by_the_new_key_for_one_old_key() {
        let (cluster, project): (ClusterId, ProjectName) = ("c".parse().unwrap(), "default".parse().unwrap());
        let (old, new) = (SecretKey::from_bytes(&[1; 32]), SecretKey::from_bytes(&[2; 32]));
        let proof = rotation_proof(&cluster, &project, &old.public(), &new);
        assert!(verify_rotation(&cluster, &project, &old.public(), &new.public(), &proof));
        assert!(!verify_rotation(&cluster, &project, &new.public(), &new.public(), &proof));
        assert!(!verify_rotation(&cluster, &"other".parse().unwrap(), &old.public(), &new.public(), &proof));
        let forged = rotation_proof(&cluster, &project, &old.public(), &old);
        assert!(!verify_rotation(&cluster, &project, &old.public(), &new.public(), &forged));
    }
}
