import { notObservableV3 } from './not-observable-v3.ts';
import { notObservableV5 } from './not-observable-v5.ts';

/** Statements of both versions without a test: id and why. */
export const notObservable: ReadonlyMap<string, string> = new Map([...notObservableV5, ...notObservableV3]);
