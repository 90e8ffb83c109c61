/** Who and what the made-up world begins with. */

import type { AnnotationView, ImageRow, Label, ProjectView, User } from "../../wire.gen";
import type { DemoPerson } from "../backend";
import { street, type Thing } from "./street";

export const ALICE: User = { id: 1, name: "Alice", email: "alice@example.org" };
export const BOB: User = { id: 2, name: "Bob", email: "bob@example.org" };

export const DEMO_PEOPLE: DemoPerson[] = [ALICE, BOB].map(({ name, email }) => ({
	name,
	email,
	password: `${name.toLowerCase()}-demo`,
}));

export const STREETS: ProjectView = {
	project: { id: "streets", name: "Street scenes", role: "owner", annotators_edit_all: true },
	images: 12,
};
export const HARBOUR: ProjectView = {
	project: { id: "harbour", name: "Harbour at night", role: "annotator", annotators_edit_all: false },
	images: 0,
};

const LABEL_OF: Record<Thing, Label> = {
	car: { id: "car", name: "Car", color: "#e69f00", hotkey: "1" },
	person: { id: "person", name: "Person", color: "#56b4e9", hotkey: "2" },
	tree: { id: "tree", name: "Tree", color: "#009e73", hotkey: "3" },
	building: { id: "building", name: "Building", color: "#cc79a7", hotkey: "4" },
	sign: { id: "sign", name: "Traffic sign", color: "#d55e00", hotkey: "5" },
};
export const LABELS: Label[] = Object.values(LABEL_OF);

const PLACES = ["market-square", "station-road", "old-town", "bridge-east", "school-lane", "riverside"];

/** A dozen pictures are enough, however many images there are. */
export const seedOf = (imageId: string): number => Number(imageId.replace(/\D/g, "")) % 12;

const THINGS_ON = Array.from({ length: 12 }, (_, seed) => street(seed).things.length);

export function imageRows(count: number): ImageRow[] {
	return Array.from({ length: count }, (_, at) => ({
		id: `street-${at + 1}`,
		file_name: `${PLACES[at % PLACES.length]}-${String(at + 1).padStart(count > 999 ? 6 : 3, "0")}.jpg`,
		width: 1600,
		height: 1066,
		annotation_count: at % 3 === 2 ? 0 : (THINGS_ON[(at + 1) % 12] as number),
		lock: { state: "free" },
		unsent: 0,
		conflicts: 0,
		watched: false,
	}));
}

export const annotationsOn = (row: ImageRow): AnnotationView[] =>
	row.annotation_count === 0
		? []
		: street(seedOf(row.id)).things.map(({ thing, geometry }, at) => ({
				id: `${row.id}/${at}`,
				version: 1,
				editable: true,
				sync: "synced",
				label_id: LABEL_OF[thing].id,
				geometry,
				attributes: {},
			}));
