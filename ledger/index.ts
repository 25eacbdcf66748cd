/** The public door of the ledger: a standalone module that knows nothing of changes. See FORMAT.md. */
export { LEDGER_ERROR_CODES, LedgerError, type LedgerErrorCode } from './errors.ts';
export {
  JSON_BYTES_MAX, JSON_DEPTH_MAX, JsonError, type JsonErrorCode, type JsonLimits, type JsonObject, type JsonValue,
} from './json.ts';
export { canonicalBytes, canonicalText, parseCanonical, parseStrict } from './jcs.ts';
export { digestOf, formatDigest, HASH_BYTES, isDigest, parseDigest, sameBytes, sha256 } from './hash.ts';
export { formatBase64, parseBase64 } from './base64.ts';
export { publicKeyFromBytes, verifyEd25519 } from './ed25519.ts';
export {
  EMPTY_ROOT, leafHash, MerkleTree, nodeHash, rootFromInclusion, verifyConsistency, verifyInclusion,
} from './merkle.ts';
export {
  ALG_COSIGNATURE_V1, ALG_ED25519, cosignatureTime, formatNote, formatVerifier, formatSignatureLine, generateSignerKey, openNote, parseCosigner, parseNote,
  parseSignatureLine, parseSigner, parseVerifier, signNote,
  type Cosigner, type LogSigner, type Note, type NoteSignature, type OpenedNote, type Signer, type VerifiedSignature, type Verifier,
} from './note.ts';
export { formatRotation, KEY_ROTATED_TYPE, KeyChain, rotationOf, type KeyRotation } from './key-rotation.ts';
export { RecordedKeys } from './verify-keys.ts';
export {
  formatCheckpoint, logIdOf, openCheckpoint, openOwnCheckpoint, openWitnessedCheckpoint, parseCheckpoint, readCheckpoint, signCheckpoint,
  type Checkpoint, type OpenedCheckpoint, type ParsedCheckpoint,
} from './checkpoint.ts';
export {
  checkQuorum, parseTrustPolicy, type TrustedLog, type TrustedWitness, type TrustPolicy, type WitnessGroup, type WitnessState,
} from './trust-policy.ts';
export {
  decodeRecord, encodeRecord, RECORD_BYTES_MAX, RECORD_OBJECTS_MAX, timeOf, type LedgerRecord, type RecordDraft,
} from './record.ts';
export { ChainHeads } from './chain.ts';
export { encodeHead, HEAD_HASHES_MAX, headKey, HeadMap, verifyHead, type ChangeHead, type HeadProof } from './change-heads.ts';
export { changeHeadsOf, headsFaultOf, HEADS_TYPE, type ChangeHeads } from './verify-heads.ts';
export { NotEvidence, type AppendFile, type Disk, type EvidenceDisk, type Held } from './disk.ts';
export { nodeDisk } from './node-disk.ts';
export { nodeEvidence } from './node-evidence.ts';
export {
  openLog,
  type Appended, type Appending, type AppendOptions, type InclusionProof, type Log, type LogOptions, type LogPace, type Recovered, type SetTimer, type SignedHead,
} from './log.ts';
export { beginJournalFile, compactJournal, type Compacted } from './compact.ts';
export { archiveLedger, type Archived, type ArchiveOptions } from './archive.ts';
export { overArchives, readMoved, withArchives, type Moved } from './archives.ts';
export { takePlaceOf } from './place.ts';
export { directorySource, restoreLog, stageLog, type KnownHead, type LedgerPart, type LedgerSource } from './restore.ts';
export { erasedBy, objectReader } from './object-store.ts';
export { readDirectory, type DirectoryReading } from './read-directory.ts';
export { OBJECT_BYTES_MAX, type StoredObject } from './objects.ts';
export { RESERVE_BYTES, reservePath } from './space.ts';
export { CHECKPOINT_INTERVAL_MS, DEFAULT_PACE } from './writer.ts';
export { bundlePath, decodeBundle, encodeBundle, formatTileIndex, parseTilePath, partialTiles, tilePath, tilesBetween, TILE_WIDTH, type TileRef } from './tiles.ts';
export { formatProof, parseProof, verifyProof, type TlogProof } from './proof.ts';
export {
  ADD_CHECKPOINT_BYTES_MAX, addCheckpoint, formatAddCheckpoint, formatCosignatures, formatWitnessSize, parseAddCheckpoint, parseCosignatures, TLOG_SIZE_TYPE,
  type AddCheckpoint, type Cosignature, type HttpAnswer, type Post, type WitnessOutcome,
} from './add-checkpoint.ts';
export { openWitness, type Witness, type WitnessAnswer, type WitnessOptions } from './witness.ts';
export { isWhole, type BundleChecker, type CheckerAnswer, type RawBundle } from './check-bundle.ts';
export { exitCodeOf, REQUIRED_BY_DEFAULT, type Verdict, type VerdictStatus } from './verdict.ts';
export { ANCHOR_TYPE, openAnchor, witnessedTimes } from './anchors.ts';
export { CLOCK_TOLERANCE_MS, TimeBrackets } from './verify-time.ts';
export { checkSignature, verifyLedger, witnessVerdict, type RuleSet, type Signed, type Verification, type VerifyOptions } from './verify.ts';
export { RecordTimes } from './verify-records.ts';
