/** What a command rejects with: a code to branch on, and a sentence of the core's for what no code covers. */

export type FailureCode =
	| "signed_out"
	| "wrong_password"
	| "offline"
	| "not_editing"
	| "superseded"
	| "not_allowed"
	| "not_found"
	| "picture_not_here"
	| "malformed"
	| "refused"
	| "storage"
	| "closing"
	| "unknown";

export interface Failure {
	code: FailureCode;
	message: string;
}

/** `thrown` as a failure, whatever it was. */
export function failureOf(thrown: unknown): Failure {
	if (typeof thrown === "object" && thrown !== null && "code" in thrown && "message" in thrown) {
		return thrown as Failure;
	}
	return { code: "unknown", message: thrown instanceof Error ? thrown.message : String(thrown) };
}
