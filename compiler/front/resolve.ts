import type { Diagnostic } from "../report/diagnostic.ts";
import type { Module } from "./program.ts";
export function resolve(_: Module): readonly Diagnostic[] { return []; }
