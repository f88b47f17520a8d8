//! How RocksDB is set up.

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel, Options};

use super::StoreLimits;
use super::layout::Family;

const MIB: usize = 1 << 20;
/// RocksDB's own log may grow to this before the oldest memtable is flushed; it bounds the time to open
/// after a crash.
const LOG_BYTES: u64 = 128 << 20;

/// Options of the whole database.
pub(super) fn database(create: bool, limits: &StoreLimits) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_paranoid_checks(true);
    // A torn last write was never acknowledged; damage anywhere before it refuses to open. The mode cannot
    // tell old bytes of a recycled log from a torn write, hence no recycling.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_recycle_log_file_num(0);
    options.set_track_and_verify_wals_in_manifest(true);
    // All families reach their tables together, so that no lost piece of a log can take a record's key or
    // decision and leave the record.
    options.set_atomic_flush(true);
    options.set_max_total_wal_size(LOG_BYTES);
    options.set_bytes_per_sync(MIB as u64);
    options.set_max_background_jobs(2);
    options.set_max_open_files(limits.open_files);
    // All families together: memtables of idle families need not wait for their own bound.
    options.set_db_write_buffer_size(limits.write_buffer_bytes);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(4 * MIB);
    options.set_keep_log_file_num(3);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Every family of a node that runs alone, and those that the directory has besides. A member's directory has its own families;
/// a directory without them gets none.
pub(super) fn families(others: impl Iterator<Item = String>, limits: &StoreLimits) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(limits.cache_bytes);
    let ours = Family::ALL
        .iter()
        .map(|&family| ColumnFamilyDescriptor::new(family.name(), of(family, &cache, limits.compacts)));
    let other = |name: String| match Family::named(&name) {
        Some(family) => ColumnFamilyDescriptor::new(name, of(family, &cache, limits.compacts)),
        None => ColumnFamilyDescriptor::new(name, Options::default()),
    };
    ours.chain(others.map(other)).collect()
}

fn of(family: Family, cache: &Cache, compacts: bool) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(16 << 10);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if point_lookups(family) {
        blocks.set_bloom_filter(10.0, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_disable_auto_compactions(!compacts);
    // Flushed tables have the compression of compacted ones. Keys of the log only rise, so its tables never overlap: RocksDB
    // moves them from level to level and writes none again. docs/performance.md has the bytes of each family.
    options.set_compression_type(compression(family));
    options.set_write_buffer_size(memtable_bytes(family));
    options.set_level_compaction_dynamic_level_bytes(true);
    if family == Family::Idem {
        // Nearly every proposal asks for a key that is not there.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.05);
    }
    options
}

/// Families that are asked for single keys which are often not there.
fn point_lookups(family: Family) -> bool {
    matches!(family, Family::Idem | Family::Objects | Family::Decisions)
}

fn compression(family: Family) -> DBCompressionType {
    match family {
        Family::Meta | Family::Raft => DBCompressionType::None,
        Family::Facts
        | Family::Wal
        | Family::Snapshots
        | Family::Idem
        | Family::Objects
        | Family::Decisions
        | Family::Outbox => DBCompressionType::Lz4,
    }
}

fn memtable_bytes(family: Family) -> usize {
    match family {
        Family::Wal | Family::Decisions => 32 * MIB,
        Family::Idem | Family::Objects => 16 * MIB,
        Family::Snapshots | Family::Raft => 8 * MIB,
        Family::Outbox | Family::Meta | Family::Facts => MIB,
    }
}
