// Compressed streams: a glimpse of the beginning, and the whole with damage told apart from bad luck.

import { constants, gunzipSync, inflateSync } from "node:zlib";
import { diagnostic, Fault } from "../../compiler/report/diagnostic.ts";
import { MOST_BYTES } from "../files.ts";

/** Deflate cannot do better than 1032 to 1, so a size beyond this is a lie without unpacking anything. */
const BEST_RATIO = 1032;

/** Whether the bytes are a gzip stream, whatever the file is called. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** The first bytes of the unpacked stream, without unpacking the rest; fewer than asked when the stream is damaged. */
export function gunzipHead(path: string, bytes: Uint8Array, wanted: number): Uint8Array {
  for (const taken of [Math.min(bytes.length, 4096), bytes.length]) {
    const head = unpack(path, () => gunzipSync(bytes.subarray(0, taken), { finishFlush: constants.Z_SYNC_FLUSH }));
    // Several tiny members may hide the header behind 4 KiB of nothing; then the whole file is looked at.
    if (head.length >= wanted || taken === bytes.length) return head;
  }
  return new Uint8Array();
}

/** The whole stream, all members of it. */
export function gunzipAll(path: string, bytes: Uint8Array): Uint8Array {
  return unpack(path, () => gunzipSync(bytes));
}

/** A whole zlib stream, as MetaImage has it; some writers make it gzip. */
export function inflateAll(path: string, bytes: Uint8Array): Uint8Array {
  return unpack(path, () => (isGzip(bytes) ? gunzipSync(bytes) : inflateSync(bytes)));
}

/** The most that a stream of this length can unpack to. */
export function largestUnpacked(packed: number): number {
  return packed * BEST_RATIO;
}

function unpack(path: string, run: () => Uint8Array): Uint8Array {
  try {
    return run();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    const hint = "copy or download the file again";
    if (code === "ERR_BUFFER_TOO_LARGE") {
      throw new Fault(diagnostic("N1006", `cannot read ${path}`, { facts: [`It unpacks to more than ${MOST_BYTES / 2 ** 30} GiB, the most that can be read at once.`], hint: "crop the image, or save it with fewer bytes per voxel" }));
    }
    if (code === "Z_BUF_ERROR") {
      throw new Fault(diagnostic("N1002", `${path} is truncated`, { facts: ["Its compressed stream stops before its end."], hint }));
    }
    const detail = error instanceof Error ? error.message : String(error);
    throw new Fault(diagnostic("N1002", `${path} is damaged`, { facts: [`It cannot be unpacked: ${detail}.`], hint }));
  }
}
