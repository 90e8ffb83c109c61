/** The shapes of the open image. Nothing here draws, and nothing here touches the DOM. */

export { edit, newAnnotationId, put, remove } from "./edits";
export { type Contents, type DocumentChange, ImageDocument } from "./image-document";
