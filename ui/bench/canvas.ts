/**
 * Plays with the canvas as a hand would, through its own events, and measures what a person would wait for. The address
 * says how many shapes: `canvas.html?shapes=10000`. The figures go to the page and to whoever serves it.
 */

import { flushSync, mount, unmount } from "svelte";
import CanvasView from "../src/canvas/CanvasView.svelte";
import { ImageDocument } from "../src/document";
import type { Point } from "../src/document/point";
import "../src/theme/tokens.css";
import { LABELS, PICTURE, photo, polygons } from "./scene";

const FRAMES = 90;

const shapes = Number(new URLSearchParams(location.search).get("shapes") ?? 10_000);
const target = document.getElementById("stage") as HTMLElement;
const history = { can_undo: false, can_redo: false };

const frame = () => new Promise<number>(requestAnimationFrame);

async function until(true_: () => boolean): Promise<number> {
	const start = performance.now();
	while (!true_()) {
		if (performance.now() - start > 20_000) throw new Error("it never came about");
		await frame();
	}
	return performance.now() - start;
}

const rounded = (ms: number) => Math.round(ms * 10) / 10;

function quantiles(times: number[]): string {
	const sorted = times.toSorted((a, b) => a - b);
	const at = (share: number) => rounded(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
	return `${at(0.5)}/${at(0.95)}`;
}

/** Does `step` once a frame and times the frames. */
async function frames(step: (index: number) => void): Promise<string> {
	const times: number[] = [];
	let before = await frame();
	for (let index = 0; index < FRAMES; index += 1) {
		step(index);
		const now = await frame();
		times.push(now - before);
		before = now;
	}
	return quantiles(times);
}

function pointer(type: string, [x, y]: Point, more: PointerEventInit = {}): void {
	const { left, top } = target.getBoundingClientRect();
	const event = { bubbles: true, clientX: left + x, clientY: top + y, pointerId: 1, isPrimary: true, ...more };
	canvas().dispatchEvent(new PointerEvent(type, event));
}

function wheel(deltaY: number, [x, y]: Point): void {
	const { left, top } = target.getBoundingClientRect();
	const event = { bubbles: true, cancelable: true, clientX: left + x, clientY: top + y, deltaY };
	canvas().dispatchEvent(new WheelEvent("wheel", event));
}

const canvas = () => target.querySelector("[data-testid=canvas]") as HTMLElement;

/** There and back, so that what is measured stays on the picture. */
const swing = (index: number, reach: number) => Math.round(Math.sin((index / FRAMES) * 2 * Math.PI) * reach);

async function pan(reach: number): Promise<string> {
	pointer("pointerdown", [640, 400], { button: 1 });
	const times = await frames((index) =>
		pointer("pointermove", [640 + swing(index, reach), 400 + swing(index, reach / 2)]),
	);
	pointer("pointerup", [640, 400], { button: 1 });
	return times;
}

async function measure(): Promise<Record<string, string | number>> {
	const [document_, pictureUrl] = [new ImageDocument({ annotations: polygons(shapes), history }), await photo()];
	const view = () =>
		mount(CanvasView, {
			target,
			props: {
				document: document_,
				pictureUrl,
				...PICTURE,
				labels: LABELS,
				tool: "select",
				activeLabel: null,
				editable: true,
				oncommit: (edit) => void document_.commit(edit, () => new Promise(() => {})),
			},
		});
	// Once without looking at the clock: the first run pays for compiling the code.
	const warm = view();
	flushSync();
	await until(() => warm.isSharp() && canvas().dataset.picture === "shown");
	await unmount(warm);
	await frame();

	const figures: Record<string, string | number> = { shapes };
	const start = performance.now();
	const shown = view();
	flushSync();
	await until(() => shown.isSharp());
	figures["first draw"] = rounded(performance.now() - start);
	await until(() => canvas().dataset.picture === "shown");
	await frame();
	figures["first draw with picture"] = rounded(performance.now() - start);
	// Let the margins and the overview be drawn too.
	for (let i = 0; i < 60; i += 1) await frame();

	figures["pan, all in view"] = await pan(120);
	figures.zoom = await frames((index) => wheel(index < FRAMES / 2 ? -100 : 100, [640, 400]));
	const settled = [];
	for (const factor of [-300, -300, 300, 300, -300, 300]) {
		await until(() => shown.isSharp());
		wheel(factor, [640, 400]);
		settled.push(await until(() => shown.isSharp()));
	}
	figures["sharp after zoom"] = quantiles(settled);
	shown.actualSize();
	await until(() => shown.isSharp());
	figures["pan, 1:1"] = await pan(600);
	shown.fit();
	await until(() => shown.isSharp());

	figures["drag a vertex"] = await dragVertex(document_);
	return figures;
}

async function dragVertex(document_: ImageDocument): Promise<string> {
	const shape = document_.annotations.at(-1);
	if (shape?.geometry.type !== "polygon") throw new Error("no polygon to drag");
	document_.select([shape.id]);
	const { scale, x, y } = JSON.parse(canvas().dataset.view as string);
	const vertex = shape.geometry.rings[0]?.[0] as Point;
	const at: Point = [vertex[0] * scale + x, vertex[1] * scale + y];
	pointer("pointerdown", at, { button: 0 });
	const times = await frames((index) => pointer("pointermove", [at[0] + swing(index, 80), at[1] + swing(index, 50)]));
	pointer("pointerup", at, { button: 0 });
	return times;
}

const figures = await measure().catch((why: unknown) => ({ failed: String(why) }));
(document.getElementById("figures") as HTMLElement).textContent = JSON.stringify(figures, null, 2);
await fetch("/figures", { method: "POST", body: JSON.stringify({ ...figures, browser: navigator.userAgent }) });
