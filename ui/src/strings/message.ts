/** Messages with named places, checked by the compiler, and plurals as each language counts. */

/** A sentence, or its forms by plural category, chosen by `{count}`. */
export type Message = string | PluralForms;

export type PluralForms = { other: string } & Partial<Record<Exclude<Intl.LDMLPluralRule, "other">, string>>;

type PlaceIn<S extends string> = S extends `${string}{${infer Place}}${infer Rest}` ? Place | PlaceIn<Rest> : never;

type Place<M extends Message> = M extends string
	? PlaceIn<M>
	: "count" | (M extends PluralForms ? PlaceIn<M["other"]> : never);

type Fill<P extends string> = { [K in P]: K extends "count" ? number : string | number };

/** Nothing for a plain sentence; otherwise a value for each place. */
export type Values<M extends Message> = [Place<M>] extends [never] ? [] : [values: Fill<Place<M>>];

export function format(message: Message, values: Record<string, string | number>, locale: string): string {
	const sentence = typeof message === "string" ? message : pluralForm(message, Number(values.count), locale);
	return sentence.replace(/\{(\w+)\}/g, (_, place: string) => {
		const value = values[place] ?? "";
		return typeof value === "number" ? new Intl.NumberFormat(locale).format(value) : value;
	});
}

function pluralForm(forms: PluralForms, count: number, locale: string): string {
	return forms[new Intl.PluralRules(locale).select(count)] ?? forms.other;
}
