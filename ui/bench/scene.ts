/** The same picture and the same shapes each time, on every machine. */

import type { AnnotationView, Label } from "../src/wire.gen";

export const PICTURE = { width: 4000, height: 3000 };
const VERTICES = 12;

export const LABELS: Label[] = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"].map(
	(color, index) => ({ id: `label-${index}`, name: `Label ${index}`, color }),
);

/** A generator of equal numbers for an equal seed (Park and Miller's). */
function seeded(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state * 48271) % 0x7fffffff;
		return state / 0x7fffffff;
	};
}

export function polygons(count: number): AnnotationView[] {
	const random = seeded(42);
	return Array.from({ length: count }, (_, index) => {
		const [cx, cy, radius] = [40 + random() * 3920, 40 + random() * 2920, 12 + random() * 26];
		const ring = Array.from({ length: VERTICES }, (_, vertex): [number, number] => {
			const [turn, away] = [(vertex / VERTICES) * 2 * Math.PI, radius * (0.7 + 0.3 * random())];
			return [cx + Math.cos(turn) * away, cy + Math.sin(turn) * away];
		});
		return {
			id: `shape-${index}`,
			version: 1,
			editable: true,
			sync: "synced",
			label_id: LABELS[index % LABELS.length]?.id ?? null,
			geometry: { type: "polygon", rings: [ring] },
			attributes: {},
		};
	});
}

/** Twelve megapixels with something on every scale to look at. */
export async function photo(): Promise<string> {
	const canvas = document.createElement("canvas");
	Object.assign(canvas, PICTURE);
	const context = canvas.getContext("2d");
	if (!context) throw new Error("a canvas without a 2D context");
	const random = seeded(7);
	const sky = context.createLinearGradient(0, 0, PICTURE.width, PICTURE.height);
	sky.addColorStop(0, "#23364d");
	sky.addColorStop(0.5, "#8fa3a0");
	sky.addColorStop(1, "#efe6d2");
	context.fillStyle = sky;
	context.fillRect(0, 0, PICTURE.width, PICTURE.height);
	for (let i = 0; i < 20_000; i += 1) {
		const grey = Math.floor(random() * 255);
		context.fillStyle = `rgb(${grey} ${grey * 0.9} ${grey * 0.8} / 30%)`;
		const size = 2 + random() * 40;
		context.fillRect(random() * PICTURE.width, random() * PICTURE.height, size, size);
	}
	const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.9));
	if (!blob) throw new Error("the photo could not be made");
	return URL.createObjectURL(blob);
}
