/** Every kind of shape in every state, on dark and on light ground, to look at: `gallery.html?tool=box&read-only`. */

import { mount } from "svelte";
import CanvasView from "../src/canvas/CanvasView.svelte";
import { ImageDocument } from "../src/document";
import type { ToolName } from "../src/tools/tool";
import type { AnnotationSync, AnnotationView, Geometry, Label } from "../src/wire.gen";
import "../src/theme/tokens.css";
import "../src/theme/base.css";

const PICTURE = { width: 1200, height: 800 };

const LABELS: Label[] = [
	{ id: "orange", name: "Orange", color: "#e69f00" },
	{ id: "sky", name: "Sky", color: "#56b4e9" },
	{ id: "green", name: "Green", color: "#009e73" },
	{ id: "yellow", name: "Yellow", color: "#f0e442" },
	{ id: "blue", name: "Blue", color: "#0072b2" },
	{ id: "red", name: "Red", color: "#d55e00" },
	{ id: "pink", name: "Pink", color: "#cc79a7" },
];

const ring = (x: number, y: number, size: number): [number, number][] => [
	[x, y + size * 0.2],
	[x + size * 0.4, y],
	[x + size, y + size * 0.3],
	[x + size * 0.8, y + size],
	[x + size * 0.1, y + size * 0.8],
];

const KINDS: ((x: number, y: number) => Geometry)[] = [
	(x, y) => ({ type: "bbox", x, y, width: 110, height: 80 }),
	(x, y) => ({ type: "obb", cx: x + 55, cy: y + 45, width: 100, height: 50, angle: 25 }),
	(x, y) => ({ type: "polygon", rings: [ring(x, y, 100), ring(x + 35, y + 35, 30)] }),
	(x, y) => ({ type: "multipolygon", polygons: [[ring(x, y, 55)], [ring(x + 60, y + 40, 50)]] }),
	(x, y) => ({
		type: "polyline",
		points: [
			[x, y + 80],
			[x + 30, y + 10],
			[x + 70, y + 70],
			[x + 110, y],
		],
	}),
	(x, y) => ({
		type: "keypoints",
		points: [
			[x + 20, y + 20, 2],
			[x + 60, y + 50, 2],
			[x + 100, y + 20, 1],
		],
	}),
	(x, y) => ({ type: "ellipse", cx: x + 55, cy: y + 45, rx: 55, ry: 30, angle: 340 }),
];

const SYNC: AnnotationSync[] = ["synced", "synced", "unsent", "conflict", "refused", "synced"];

function annotations(): AnnotationView[] {
	return SYNC.flatMap((sync, row) =>
		KINDS.map((kind, column) => ({
			id: `${row}-${column}`,
			version: 1,
			editable: row !== 5,
			sync,
			label_id: row === 1 ? null : (LABELS[(row + column) % LABELS.length]?.id ?? null),
			geometry: kind(35 + column * 165, 20 + row * 130),
			attributes: {},
		})),
	);
}

/** Half night, half snow, with some texture. */
async function photo(): Promise<string> {
	const canvas = document.createElement("canvas");
	Object.assign(canvas, PICTURE);
	const context = canvas.getContext("2d");
	if (!context) throw new Error("a canvas without a 2D context");
	const ground = context.createLinearGradient(0, 0, PICTURE.width, 0);
	for (const [at, color] of [
		[0, "#0b0e12"],
		[0.33, "#2b3a31"],
		[0.6, "#a89f8d"],
		[1, "#fbfbf8"],
	] as const) {
		ground.addColorStop(at, color);
	}
	context.fillStyle = ground;
	context.fillRect(0, 0, PICTURE.width, PICTURE.height);
	for (let i = 0; i < 4000; i += 1) {
		context.fillStyle = i % 2 ? "rgb(255 255 255 / 6%)" : "rgb(0 0 0 / 8%)";
		context.fillRect((i * 7919) % PICTURE.width, (i * 104729) % PICTURE.height, 1 + (i % 9), 1 + (i % 7));
	}
	const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.9));
	if (!blob) throw new Error("the photo could not be made");
	return URL.createObjectURL(blob);
}

const asked = new URLSearchParams(location.search);
const shapes = new ImageDocument({ annotations: annotations(), history: { can_undo: false, can_redo: false } });
const selected = asked.get("selected");
if (selected) shapes.select(selected.split(","));

mount(CanvasView, {
	target: document.getElementById("stage") as HTMLElement,
	props: {
		document: shapes,
		pictureUrl: asked.has("broken") ? "/no-such-picture.jpg" : await photo(),
		...PICTURE,
		labels: LABELS,
		tool: (asked.get("tool") as ToolName | null) ?? "select",
		activeLabel: "red",
		editable: !asked.has("read-only"),
		oncommit: (edit) => void shapes.commit(edit, () => new Promise(() => {})),
	},
});
