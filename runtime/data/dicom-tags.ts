// The few fields of a DICOM file that say whether slices belong together: which series, where, and which way.

/** What a slice says of itself; undefined where it does not. */
export interface SliceTags {
  readonly series: string | undefined;
  /** Millimetres of the first pixel, to the left, the back and up. */
  readonly position: readonly number[] | undefined;
  /** Directions of rows and columns. */
  readonly orientation: readonly number[] | undefined;
}

const SERIES = 0x0020000e;
const POSITION = 0x00200032;
const ORIENTATION = 0x00200037;
const SYNTAX = 0x00020010;
/** Value representations with four bytes of length. */
const LONG: ReadonlySet<string> = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const UNKNOWN_LENGTH = 0xffffffff;
const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;

/** Whether bytes are a DICOM file. */
export function isDicom(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";
}

interface Element {
  readonly tag: number;
  readonly start: number;
  /** Undefined for one that ends with a mark. */
  readonly length: number | undefined;
}

/** Reads the tags of a slice (PS3.5 of the standard, little endian); what cannot be followed is left out. */
export function sliceTags(bytes: Uint8Array): SliceTags {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts = new Map<number, string>();
  let explicit = true;
  let at = 132;
  while (at + 8 <= bytes.length) {
    // The file's own fields are explicit whatever the others are.
    const element = elementAt(view, at, explicit || view.getUint16(at, true) === 2);
    if (element === undefined || element.tag > ORIENTATION) break;
    const { tag, start, length } = element;
    if (length === undefined) {
      at = afterSequence(view, start, explicit);
      continue;
    }
    if (tag === SERIES || tag === POSITION || tag === ORIENTATION || tag === SYNTAX) texts.set(tag, new TextDecoder("latin1").decode(bytes.subarray(start, start + length)).replace(/[\0 ]+$/, ""));
    if (tag === SYNTAX) explicit = texts.get(SYNTAX) !== "1.2.840.10008.1.2";
    at = start + length;
  }
  const numbers = (tag: number): readonly number[] | undefined => {
    const values = texts.get(tag)?.split("\\").map(Number);
    return values?.every(Number.isFinite) === true ? values : undefined;
  };
  return { series: texts.get(SERIES), position: numbers(POSITION), orientation: numbers(ORIENTATION) };
}

function elementAt(view: DataView, at: number, explicit: boolean): Element | undefined {
  if (at + 8 > view.byteLength) return undefined;
  const tag = view.getUint16(at, true) * 65536 + view.getUint16(at + 2, true);
  const kind = String.fromCharCode(view.getUint8(at + 4), view.getUint8(at + 5));
  const marked = tag === ITEM || tag === ITEM_END || tag === SEQUENCE_END;
  if (!explicit || marked || !LONG.has(kind)) {
    const short = explicit && !marked;
    const length = short ? view.getUint16(at + 6, true) : view.getUint32(at + 4, true);
    return { tag, start: at + 8, length: length === UNKNOWN_LENGTH ? undefined : length };
  }
  if (at + 12 > view.byteLength) return undefined;
  const length = view.getUint32(at + 8, true);
  return { tag, start: at + 12, length: length === UNKNOWN_LENGTH ? undefined : length };
}

/** Where a sequence or an item without a length ends. */
function afterSequence(view: DataView, start: number, explicit: boolean): number {
  let at = start;
  for (;;) {
    const element = elementAt(view, at, explicit);
    if (element === undefined) return view.byteLength;
    at = element.length === undefined ? afterSequence(view, element.start, explicit) : element.start + element.length;
    if (element.tag === ITEM_END || element.tag === SEQUENCE_END) return at;
  }
}
