//! Memory of a state in bytes, estimated from the lengths of its lists: cheap enough for every transition. `swoosh
//! bench` measures the error of the estimate.

use std::mem::size_of;

use super::*;
use swoosh_types::text::AssetName;

/// Slots of a leaf of a B-tree, which is allocated whole.
const LEAF_SLOTS: usize = 11;
/// Overhead of an allocation, in bytes.
const ALLOCATION: usize = 16;
/// Texts of names, addresses and details, on the average.
const TEXT: usize = 48;

fn tree<K, V>(length: usize) -> usize {
    // Leaves are two thirds full on the average.
    length.div_ceil(LEAF_SLOTS * 2 / 3) * (LEAF_SLOTS * (size_of::<K>() + size_of::<V>()) + ALLOCATION)
}

fn packed<K, V>(length: usize) -> usize {
    length * size_of::<(K, V)>() + ALLOCATION
}

fn texts(count: usize) -> usize {
    count * (TEXT + ALLOCATION)
}

impl State {
    /// Bytes of memory that the state takes, about.
    pub fn weight_bytes(&self) -> usize {
        let sections = size_of::<State>()
            + size_of::<Meta>()
            + size_of::<Boot>()
            + size_of::<Ingestion>()
            + size_of::<Council>()
            + size_of::<Environment>()
            + size_of::<Execution>()
            + size_of::<Control>()
            + size_of::<Policy>()
            + size_of::<Epochs>()
            + size_of::<Option<HlcLast>>()
            + 10 * 2 * ALLOCATION;
        sections + self.boot_weight() + self.ingestion_weight() + self.council_weight() + self.rest_weight()
    }

    fn boot_weight(&self) -> usize {
        let identities = self.boot.identities.len();
        tree::<PublicKey, Identity>(identities) + identities * tree::<Role, ()>(1) + texts(identities)
    }

    fn ingestion_weight(&self) -> usize {
        let ingestion = &*self.ingestion;
        let wanted = ingestion.sources.len() + ingestion.upstreams.len();
        let built = |fetched: &FetchedSources| packed::<Name, FetchedSource>(fetched.len()) + texts(2 * fetched.len());
        let ready: usize = ingestion.ready_versions.values().map(|version| built(&version.fetched)).sum();
        packed::<Name, SourceSpec>(wanted)
            + texts(3 * wanted)
            + packed::<Name, ResolvedSource>(ingestion.resolved.len())
            + texts(2 * ingestion.resolved.len())
            + built(&ingestion.fetched)
            + ready
            + tree::<u64, ReadyVersion>(ingestion.ready_versions.len())
            + ingestion.outcomes.len() * size_of::<CheckOutcome>()
            + texts(2 * ingestion.outcomes.len())
            + effects(&ingestion.effects)
    }

    fn council_weight(&self) -> usize {
        let council = &*self.council;
        let (seen, servers) = (council.tooling.len(), council.tool_pins.len() + council.unreachable.len());
        let votes = council.certificate.as_ref().map_or(0, |certificate| certificate.votes.len());
        packed::<Name, RoleSpec>(council.roles.len())
            + texts(3 * council.roles.len())
            + tree::<Name, ToolPin>(servers)
            + packed::<Name, ServerSeen>(seen)
            + texts(3 * (seen + servers))
            + tree::<PublicKey, BTreeSet<Capability>>(council.candidates.len())
            + council.candidates.len() * tree::<Capability, ()>(1)
            + texts(council.candidates.len())
            + tree::<PublicKey, Name>(council.members.len())
            + texts(council.members.len())
            + votes * size_of::<Vote>()
            + effects(&council.effects)
    }

    fn rest_weight(&self) -> usize {
        let (environment, execution) = (&*self.environment, &*self.execution);
        packed::<Name, Count>(environment.allocation.len())
            + texts(environment.allocation.len())
            + packed::<AssetName, Hash>(environment.assets.len())
            + packed::<AssetName, AssetHealth>(environment.outcomes.len())
            + texts(environment.assets.len() + environment.outcomes.len())
            + environment.builds.len() * (size_of::<BuildChoice>() + 3 * TEXT)
            + effects(&environment.effects)
            + tree::<PublicKey, Approval>(execution.approvals.len())
            + execution.submissions.len() * (size_of::<Submission>() + TEXT)
            + execution.evidence.len() * (size_of::<EvidenceRef>() + TEXT)
            + texts(3)
    }
}

fn effects(effects: &Effects) -> usize {
    tree::<EffectName, OpenEffect>(effects.len()) + texts(effects.len())
}
