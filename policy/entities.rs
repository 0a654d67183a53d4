//! Requests in Cedar's terms: two entities, whose parents are listed flat, and
//! a context.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{
    Context as CedarContext, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request as CedarRequest,
    RestrictedExpression as Value,
};
use weighbridge_types::{Severity, Sha256, Strength};

use crate::assessment::Assessment;
use crate::data::{Data, Provider};
use crate::licence;
use crate::request::{Action, Context, Principal, Request, Resource};
use weighbridge_types::Mode;

/// Types of resources, as policies are sliced by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Model,
    Adapter,
    Provider,
    Host,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Model, Self::Adapter, Self::Provider, Self::Host];

    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "Model",
            Self::Adapter => "Adapter",
            Self::Provider => "Provider",
            Self::Host => "Host",
        }
    }

    pub fn of(resource: &Resource<'_>) -> Self {
        match resource {
            Resource::Model(model) if model.adapter => Self::Adapter,
            Resource::Model(_) => Self::Model,
            Resource::Provider(_) => Self::Provider,
            Resource::Host(_) => Self::Host,
        }
    }
}

/// Names of types, parsed once.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    /// Attributes that policies mention; all, if it is not known.
    mentioned: Option<BTreeSet<String>>,
    types: HashMap<&'static str, EntityTypeName>,
    actions: HashMap<Action, EntityUid>,
}

const TYPES: [&str; 20] = [
    "Action",
    "Adapter",
    "ApprovalSet",
    "Family",
    "Group",
    "Host",
    "Hub",
    "LicenceClass",
    "Mode",
    "Model",
    "PathClass",
    "Provider",
    "Publisher",
    "Runtime",
    "ServiceAccount",
    "Signature",
    "Strength",
    "Team",
    "User",
    "Verdict",
];

/// Everything Cedar needs to answer, and what the slices are chosen by.
pub(crate) struct Question {
    pub request: CedarRequest,
    pub entities: Entities,
    pub kind: Kind,
    /// The resource and all it is in.
    pub scopes: Vec<EntityUid>,
}

impl Vocabulary {
    pub fn new() -> Result<Self, String> {
        let name = |t: &'static str| t.parse::<EntityTypeName>().map(|n| (t, n)).map_err(|e| e.to_string());
        let types: HashMap<_, _> = TYPES.into_iter().chain(["Workload"]).map(name).collect::<Result<_, _>>()?;
        let mut vocabulary = Self { mentioned: None, types, actions: HashMap::new() };
        for action in Action::ALL {
            let uid = vocabulary.uid("Action", action.name())?;
            vocabulary.actions.insert(action, uid);
        }
        Ok(vocabulary)
    }

    /// Attributes that no policy mentions need not be made.
    pub fn limit_to(&mut self, mentioned: BTreeSet<String>) {
        self.mentioned = Some(mentioned);
    }

    /// As it was before [`Self::limit_to`].
    pub fn unlimited(&self) -> Self {
        Self { mentioned: None, ..self.clone() }
    }

    fn needs(&self, attribute: &str) -> bool {
        self.mentioned.as_ref().is_none_or(|names| names.contains(attribute))
    }

    pub fn action(&self, action: Action) -> Result<EntityUid, String> {
        self.actions.get(&action).cloned().ok_or_else(|| format!("there is no action `{}`", action.name()))
    }

    pub fn uid(&self, kind: &str, id: &str) -> Result<EntityUid, String> {
        let name = self.types.get(kind).ok_or_else(|| format!("there is no entity type `{kind}`"))?;
        Ok(EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)))
    }

    fn value(&self, kind: &str, id: &str) -> Result<Value, String> {
        Ok(Value::new_entity_uid(self.uid(kind, id)?))
    }

    /// `request` in Cedar's terms. `groups` are all of the principal's, `sets`
    /// the approval sets of the model.
    pub fn ask(
        &self,
        request: &Request<'_>,
        data: &Data,
        mode: Mode,
        groups: &[String],
        sets: &[&str],
    ) -> Result<Question, String> {
        let principal = self.principal(request.principal, request.context, groups)?;
        let resource = match request.resource {
            Resource::Model(model) => self.model(model, data, sets)?,
            Resource::Provider(id) => self.provider(id, data.providers.get(id))?,
            Resource::Host(name) => self.host(name, request.context)?,
        };
        let context = self.context(request.context, mode)?;
        let (who, what) = (principal.uid(), resource.0.uid());
        let scopes = std::iter::once(what.clone()).chain(resource.1).collect();
        let mut entities = vec![resource.0];
        if who != what {
            entities.push(principal);
        }
        let entities = Entities::from_entities(entities, None).map_err(|e| e.to_string())?;
        let cedar =
            CedarRequest::new(who, self.action(request.action)?, what, context, None).map_err(|e| e.to_string())?;
        Ok(Question { request: cedar, entities, kind: Kind::of(&request.resource), scopes })
    }

    fn principal(&self, principal: &Principal, context: &Context, groups: &[String]) -> Result<Entity, String> {
        if let Principal::Host(name) = principal {
            return Ok(self.host(name, context)?.0);
        }
        let uid = self.uid(principal.kind(), principal.name())?;
        let mut parents: HashSet<EntityUid> = groups.iter().map(|g| self.uid("Group", g)).collect::<Result<_, _>>()?;
        let mut attributes = HashMap::from([("name".to_owned(), text(principal.name()))]);
        if matches!(principal, Principal::Workload(_)) {
            if let Some(runtime) = &context.runtime {
                parents.insert(self.uid("Runtime", runtime)?);
            }
            let optional = [("executable", &context.executable), ("unit", &context.unit)];
            attributes.extend(optional.into_iter().filter_map(|(k, v)| Some((k.to_owned(), text(v.as_ref()?)))));
        }
        Entity::new(uid, attributes, parents).map_err(|e| e.to_string())
    }

    fn host(&self, name: &str, context: &Context) -> Result<(Entity, Vec<EntityUid>), String> {
        let team = context.team.as_ref().map(|t| self.uid("Team", t)).transpose()?;
        let attributes = HashMap::from([("name".to_owned(), text(name))]);
        let entity = Entity::new(self.uid("Host", name)?, attributes, team.clone().into_iter().collect());
        Ok((entity.map_err(|e| e.to_string())?, team.into_iter().collect()))
    }

    fn provider(&self, id: &str, provider: Option<&Provider>) -> Result<(Entity, Vec<EntityUid>), String> {
        let provider = provider.ok_or_else(|| format!("the provider `{id}` is not in data/providers.yaml"))?;
        let attributes = HashMap::from([
            ("name".to_owned(), text(id)),
            ("region".to_owned(), text(&provider.region)),
            ("dataClasses".to_owned(), texts(&provider.data_classes)),
            ("zeroRetention".to_owned(), Value::new_bool(provider.zero_retention)),
        ]);
        let entity = Entity::new(self.uid("Provider", id)?, attributes, HashSet::new());
        Ok((entity.map_err(|e| e.to_string())?, Vec::new()))
    }

    fn model(&self, model: &Assessment, data: &Data, sets: &[&str]) -> Result<(Entity, Vec<EntityUid>), String> {
        let digest = model.sha256.as_ref().map(Sha256::to_string);
        // A file that could not be read has no digest to go by.
        let id = digest.clone().unwrap_or_else(|| format!("unread:{}", model.name));
        let kind = Kind::of(&Resource::Model(model));
        let mut parents = HashSet::new();
        if let Some(family) = &model.family {
            parents.insert(self.uid("Family", family)?);
        }
        for name in publishers(model, data) {
            parents.insert(self.uid("Publisher", name)?);
        }
        for hub in model.origins.keys().filter_map(|o| hub(o)) {
            parents.insert(self.uid("Hub", hub)?);
        }
        for set in sets {
            parents.insert(self.uid("ApprovalSet", set)?);
        }
        let mut attributes = HashMap::new();
        let mut set = |name: &str, value: &dyn Fn() -> Result<Value, String>| -> Result<(), String> {
            if self.needs(name) {
                attributes.insert(name.to_owned(), value()?);
            }
            Ok(())
        };
        set("name", &|| Ok(text(&model.name)))?;
        set("format", &|| Ok(text(&model.format)))?;
        set("runsCode", &|| Ok(Value::new_bool(model.runs_code())))?;
        set("sizeBytes", &|| Ok(long(model.size_bytes)))?;
        set("verdict", &|| self.value("Verdict", model.verdict.name()))?;
        set("severity", &|| Ok(Value::new_long(rank(model.severity))))?;
        set("findings", &|| Ok(texts(&model.findings)))?;
        set("signature", &|| self.value("Signature", model.signature.name()))?;
        set("signers", &|| Ok(texts(&model.signers)))?;
        set("origin", &|| self.value("Strength", strength(model.origin)))?;
        set("origins", &|| Ok(texts(model.origins.keys())))?;
        set("licences", &|| Ok(texts(&model.licences)))?;
        set("licenceClass", &|| self.value("LicenceClass", class(model, data)))?;
        set("baseModels", &|| Ok(texts(&model.base_models)))?;
        set("advisories", &|| Ok(texts(&model.advisories)))?;
        set("advisorySeverity", &|| Ok(Value::new_long(rank(model.advisory_severity))))?;
        let optional = [
            ("sha256", digest.as_deref().map(text)),
            ("parameters", model.parameters.map(long)),
            ("contextLength", model.context_length.map(long)),
            ("quantization", model.quantization.as_deref().map(text)),
            ("ageDays", model.age_days.map(|d| long(d.into()))),
        ];
        for (name, value) in optional {
            if let Some(value) = value.filter(|_| self.needs(name)) {
                attributes.insert(name.to_owned(), value);
            }
        }
        let scopes = parents.iter().cloned().collect();
        let entity = Entity::new(self.uid(kind.name(), &id)?, attributes, parents).map_err(|e| e.to_string())?;
        Ok((entity, scopes))
    }

    fn context(&self, context: &Context, mode: Mode) -> Result<CedarContext, String> {
        let now = || Value::new_datetime(context.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let now = self.needs("now").then(|| ("now", now()));
        let needed = [
            ("mode", self.value("Mode", mode.name())?),
            ("pathClass", self.value("PathClass", context.path_class.name())?),
        ];
        let optional = [
            ("opener", context.opener.as_deref().map(text)),
            ("hubHost", context.hub_host.as_deref().map(text)),
            ("bytes", context.bytes.map(long)),
            ("dataClass", context.data_class.as_deref().map(text)),
            ("bundleAgeDays", context.bundle_age_days.map(|d| long(d.into()))),
            ("gpuPercent", context.gpu_percent.map(|p| long(p.into()))),
            ("gpuMinutes", context.gpu_minutes.map(|m| long(m.into()))),
        ];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let pairs = needed.into_iter().chain(now).chain(optional).map(|(name, value)| (name.to_owned(), value));
        CedarContext::from_pairs(pairs).map_err(|e| e.to_string())
    }
}

pub(crate) fn class(model: &Assessment, data: &Data) -> &'static str {
    let licences: Vec<String> = model.licences.iter().cloned().collect();
    licence::class(&licences, &data.licences).name()
}

/// Names of a model's publishers, their groups, and `known` if there is one.
fn publishers<'a>(model: &'a Assessment, data: &'a Data) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for publisher in data.publishers_of(model) {
        names.extend(["known", publisher.id.as_str()]);
        names.extend(publisher.groups.iter().map(String::as_str));
    }
    names
}

/// `huggingface` of `pkg:huggingface/Org/Name`.
fn hub(purl: &str) -> Option<&str> {
    purl.strip_prefix("pkg:")?.split('/').next().filter(|hub| !hub.is_empty())
}

pub(crate) fn strength(strength: Option<Strength>) -> &'static str {
    match strength {
        None => "none",
        Some(Strength::Hint) => "hint",
        Some(Strength::Record) => "record",
        Some(Strength::Content) => "content",
        Some(Strength::Proof) => "proof",
    }
}

/// A severity as policies compare it.
pub(crate) fn rank(severity: Option<Severity>) -> i64 {
    match severity {
        None => 0,
        Some(Severity::Info) => 1,
        Some(Severity::Low) => 2,
        Some(Severity::Medium) => 3,
        Some(Severity::High) => 4,
        Some(Severity::Critical) => 5,
    }
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Value {
    Value::new_set(texts.into_iter().map(|t| text(t)))
}

fn long(value: u64) -> Value {
    Value::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}
