//! Why a command could not be done, for a window that branches on the code and shows the sentence.

use lockstep_wire::{ApiError, Refusal};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

/// What should not happen, or cannot be done now. Nothing here ever means that work was lost.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Nobody is signed in.
    #[error("Sign in first.")]
    SignedOut,
    /// The server does not know this email with this password.
    #[error("The email or the password is not right.")]
    WrongPassword,
    /// It needs the server, and there is no answer.
    #[error("The server cannot be reached. What you have done is saved on this machine.")]
    Offline,
    /// The image is not open for editing.
    #[error("This image is not open for editing.")]
    NotEditing,
    /// Another image was opened before this one was.
    #[error("Another image was opened meanwhile.")]
    Superseded,
    /// The signed-in person may not do it.
    #[error("You may not do this: {0}")]
    NotAllowed(String),
    /// No such thing, or nothing known of it on this machine.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// The picture was never loaded, and the server cannot be reached.
    #[error("This picture is not on this machine, and the server cannot be reached.")]
    PictureNotHere,
    /// The window sent what is no shape.
    #[error("This is no shape: {0}.")]
    Malformed(String),
    /// The server refused in a way no one branches on.
    #[error("{0}")]
    Refused(String),
    /// The local database or a file failed.
    #[error("This machine could not store or read its data: {0}")]
    Storage(String),
    /// The client is shutting down.
    #[error("The app is closing.")]
    Closing,
}

impl Error {
    /// What the window branches on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::WrongPassword => "wrong_password",
            Self::Offline => "offline",
            Self::NotEditing => "not_editing",
            Self::Superseded => "superseded",
            Self::NotAllowed(_) => "not_allowed",
            Self::NotFound(_) => "not_found",
            Self::PictureNotHere => "picture_not_here",
            Self::Malformed(_) => "malformed",
            Self::Refused(_) => "refused",
            Self::Storage(_) => "storage",
            Self::Closing => "closing",
        }
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Error", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Network(_) | ApiError::Later { .. } => Self::Offline,
            ApiError::Refused(detail) => match detail.refusal {
                Refusal::Unauthorized => Self::SignedOut,
                Refusal::Forbidden => Self::NotAllowed(detail.message),
                Refusal::NotFound | Refusal::Gone => Self::NotFound("image"),
                _ => Self::Refused(detail.message),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_gets_a_code_and_a_sentence() {
        let json = serde_json::to_value(Error::SignedOut).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({"code": "signed_out", "message": "Sign in first."})
        );
    }
}
