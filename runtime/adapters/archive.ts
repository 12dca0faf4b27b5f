// Reads the files of a tar archive that is held in memory.

const block = 512;

/** The plain files of an archive, by base name. Links, folders and extension headers are passed over. */
export function readTar(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const text = (from: number, length: number): string => {
    const field = bytes.subarray(from, from + length);
    const end = field.indexOf(0);
    return Buffer.from(end === -1 ? field : field.subarray(0, end)).toString("latin1");
  };
  for (let at = 0; at + block <= bytes.length; ) {
    const name = text(at, 100);
    if (name === "") break;
    const size = Number.parseInt(text(at + 124, 12).trim(), 8);
    if (!Number.isFinite(size) || at + block + size > bytes.length) throw new Error(`tar: the entry \`${name}\` is cut off`);
    const kind = text(at + 156, 1);
    if (kind === "0" || kind === "") {
      files.set(name.slice(name.lastIndexOf("/") + 1), bytes.subarray(at + block, at + block + size));
    }
    at += block + Math.ceil(size / block) * block;
  }
  return files;
}
