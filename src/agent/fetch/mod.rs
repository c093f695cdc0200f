//! The engine: brings content onto a volume, verified, resumable and bounded in memory.
