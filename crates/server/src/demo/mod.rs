//! A first project to look at: a dozen photographs, their labels, some annotations, and two people.
//!
//! **Invariant:** it is made on request alone, and only where nobody has an account yet. Its passwords are public.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use include_dir::{Dir, include_dir};
use lockstep_wire::{
    Annotation, AnnotationFields, CreateAnnotation, Geometry, IdempotencyKey, Image, ImageId, Label, LabelId,
    ProjectId, Role, SaveContext, User,
};
use serde::Deserialize;

use crate::service::{LabelFields, NewMember, ProjectFields, Service, Upload};
use crate::store::Added;

/// A demo account. Its password is in the source for everyone to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// What one signs in with.
    pub email: &'static str,
    /// As colleagues see it.
    pub name: &'static str,
    /// Public: good for a demo and for nothing else.
    pub password: &'static str,
    /// In the demo project.
    pub role: Role,
}

/// The demo project's owner and her colleague.
pub const DEMO_PEOPLE: [Person; 2] = [
    Person {
        email: "alice@example.org",
        name: "Alice",
        password: "alice-demo-1",
        role: Role::Owner,
    },
    Person {
        email: "bob@example.org",
        name: "Bob",
        password: "bob-demo-1",
        role: Role::Annotator,
    },
];

/// The demo project's id.
pub const DEMO_PROJECT: &str = "demo";

const NAME: &str = "Demo: a dozen photographs";

static FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../demo");

/// What seeding found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seeded {
    /// The demo is there now.
    Now,
    /// It was there.
    Before,
    /// There are accounts of other people: this is no empty server, and was left as it is.
    InUse,
}

#[derive(Deserialize)]
struct Photo {
    file: String,
}

#[derive(Deserialize)]
struct Shape {
    file: String,
    label: String,
    geometry: Geometry,
}

/// Makes the demo where there is nothing yet. Interrupted, it goes on where it was: every step may be repeated, and
/// Bob comes last.
pub async fn seed(service: &Service) -> anyhow::Result<Seeded> {
    let [alice, bob] = &DEMO_PEOPLE;
    match service.first_user().await? {
        Some(first) if first.email != alice.email => return Ok(Seeded::InUse),
        Some(_) if service.user_of(bob.email).await.is_ok() => return Ok(Seeded::Before),
        _ => {}
    }
    let owner = account(service, alice).await?;
    let project = ProjectId::from(DEMO_PROJECT);
    let fields = ProjectFields {
        id: Some(project.clone()),
        name: NAME.into(),
        annotators_edit_all: true,
    };
    service.add_project(owner.id, fields).await?;
    add_labels(service, &owner, &project).await?;
    add_photos(service, &owner, &project).await?;
    add_shapes(service, &owner, &project).await?;
    let bobs = NewMember {
        user_id: Some(account(service, bob).await?.id),
        email: None,
        role: bob.role,
    };
    service.add_member(owner.id, &project, bobs).await?;
    Ok(Seeded::Now)
}

async fn account(service: &Service, person: &Person) -> anyhow::Result<User> {
    match service
        .add_user(person.email, person.name, person.password.into(), false)
        .await?
    {
        Added::New(user) => Ok(user),
        Added::Taken => Ok(service.user_of(person.email).await?),
    }
}

async fn add_labels(service: &Service, owner: &User, project: &ProjectId) -> anyhow::Result<()> {
    let there: Vec<LabelId> = service
        .labels(owner.id, project)
        .await?
        .into_iter()
        .map(|label| label.id)
        .collect();
    for fields in read::<LabelFields>("labels.json")? {
        if !fields.id.as_ref().is_some_and(|id| there.contains(id)) {
            let _: Label = service.add_label(owner.id, project, fields).await?;
        }
    }
    Ok(())
}

async fn add_photos(service: &Service, owner: &User, project: &ProjectId) -> anyhow::Result<()> {
    for Photo { file } in read("photos.json")? {
        let content = contents(&format!("photos/{file}"))?;
        let upload = Upload {
            id: None,
            file_name: file,
            content: Bytes::from_static(content),
        };
        let _: Added<Image> = service.add_image(owner.id, project, upload).await?;
    }
    Ok(())
}

async fn add_shapes(service: &Service, owner: &User, project: &ProjectId) -> anyhow::Result<()> {
    for (number, shape) in read::<Shape>("annotations.json")?.into_iter().enumerate() {
        let request = CreateAnnotation {
            id: None,
            project_id: project.clone(),
            image_id: ImageId(shape.file),
            fields: AnnotationFields {
                label_id: Some(LabelId(shape.label)),
                geometry: shape.geometry,
                attributes: serde_json::Map::default(),
            },
        };
        let key = Some(IdempotencyKey(format!("demo-{number}")));
        let _: Annotation = service
            .create(
                owner.id,
                request,
                SaveContext {
                    key,
                    ..SaveContext::default()
                },
            )
            .await?
            .0
            .annotation;
    }
    Ok(())
}

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> anyhow::Result<Vec<T>> {
    serde_json::from_slice(contents(file)?).with_context(|| format!("demo/{file} cannot be read"))
}

fn contents(file: &str) -> anyhow::Result<&'static [u8]> {
    match FILES.get_file(file) {
        Some(file) => Ok(file.contents()),
        None => bail!("demo/{file} is missing"),
    }
}
